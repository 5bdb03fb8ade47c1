// submit: inserts jobs, one from the command line or many from a file.
import ArgumentParser
import Foundation
import JSON
import JobModel
import JobStorage
import OrderedCollections

struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Insert jobs.", subcommands: [SubmitGenerate.self, SubmitScore.self, SubmitEmbed.self],
        defaultSubcommand: SubmitGenerate.self)
}

/// What all kinds of jobs have in common.
struct SubmitOptions: ParsableArguments {
    @Option(help: "Registered model.")
    var model = "smollm2-135m-instruct"
    @Option(help: "JSONL file with one job per line; - is standard input.")
    var file: String?
    @Option(help: "Queue to put the jobs in.")
    var queue: String?
    @Option(parsing: .unconditional, help: "-100 to 100, lower is sooner.")
    var priority: Int?
    @Option(help: "Seconds before the jobs may run.")
    var delay: Double?
    @Option(
        help:
            "Waits between attempts: exponential (the default), fixed, or none, with which the first failure is final.")
    var retry: RetryPolicy.Kind?
    @Option(help: "Seconds of the first wait, or of each for fixed (default 2).")
    var retryDelay: Double?
    @Option(help: "The job fails with its so-manieth failure, 1 to 1000 (default 5).")
    var maxAttempts: Int?
    @Option(help: "So many workers may die of the job, 1 to 1000 (default 3).")
    var maxWorkerDeaths: Int?
    @Option(help: "Jobs with one key run at the same time only as far as its limit allows ('jobctl limit').")
    var limitKey: String?
    @Option(help: "A job that must end first; may be given more than once.")
    var after: [Int64] = []
    @Option(help: "If one of these does not succeed: fail (the default), cancel, or run all the same.")
    var onDependencyFailure: DependencyFailurePolicy?
    @Flag(help: "Compute the jobs whatever equal jobs there are.")
    var noCache = false
    @Flag(help: "Wait for the answers.")
    var wait = false
    @Option(help: "Seconds that --wait waits at most (default: as long as it takes).")
    var timeout: Double?
    @OptionGroup var common: CommonOptions

    func validate() throws {
        for (name, value) in [("--delay", delay), ("--retry-delay", retryDelay)] {
            if let value, !(0...2_592_000).contains(value) { throw ValidationError("\(name) must be 0 to 2592000") }
        }
        for (name, value) in [("--max-attempts", maxAttempts), ("--max-worker-deaths", maxWorkerDeaths)] {
            if let value, !(1...1000).contains(value) { throw ValidationError("\(name) must be 1 to 1000") }
        }
        if let priority, !(-100...100).contains(priority) { throw ValidationError("--priority must be -100 to 100") }
    }

    /// Fails unless the job is given once: by one of these options or by --file.
    func requireOne(of options: KeyValuePairs<String, Bool>) throws {
        let names = options.map(\.key) + ["--file"]
        guard options.count(where: \.value) + (file == nil ? 0 : 1) == 1 else {
            throw ValidationError("exactly one of \(names.dropLast().joined(separator: ", ")) and --file is needed")
        }
    }

    /// The jobs of --file, or else one with this input.
    /// - Parameters:
    ///   - field: where a line that is a string belongs.
    ///   - defaults: fields of all jobs; a job's own fields win.
    func jobs(
        _ kind: JobKind, _ input: OrderedDictionary<String, JSONValue>, lineAs field: String,
        defaults: KeyValuePairs<String, JSONValue?>
    ) throws -> [NewJob] {
        let inputs = try file.map { try lines($0, as: field) } ?? [input]
        return inputs.map { input in
            var members = input
            for (name, value) in defaults where members[name] == nil { members[name] = value }
            return NewJob(
                kind: kind, model: model, input: .object(members), queue: queue, priority: priority, delay: delay,
                maximumAttempts: maxAttempts, retryPolicy: RetryPolicy(retry ?? .exponential, delay: retryDelay),
                maximumWorkerDeaths: maxWorkerDeaths, limitKey: limitKey, dependsOn: after,
                onDependencyFailure: onDependencyFailure, cache: noCache ? false : nil)
        }
    }

    /// Inserts the jobs; prints their ids, or with --wait their answers, or what `follow` prints.
    func submit(
        _ jobs: [NewJob], follow: ((PostgresJobStore, JobID) async throws -> Void)? = nil
    ) async throws {
        // A file of millions takes its time.
        try await common.withStore(patience: 3600) { store in
            let ids = try await store.enqueue(jobs)
            if let follow {
                try await follow(store, ids[0])
            } else if wait {
                try await WaitReport(store: store, common: common, timeout: timeout).run(ids)
            } else {
                for id in ids { common.show(["id": .integer(id)], text: String(id)) }
            }
        }
    }

    private func lines(_ path: String, as field: String) throws -> [OrderedDictionary<String, JSONValue>] {
        let content =
            path == "-" ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: path)
        guard let content else { throw CommandError("\(path): can't be read") }
        var inputs: [OrderedDictionary<String, JSONValue>] = []
        for (index, line) in content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        {
            guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) else { continue }
            let value: JSONValue
            do throws(JSONError) {
                value = try JSONValue(parsing: line)
            } catch {
                throw CommandError("\(path), line \(index + 1), column \(error.column): \(error.reason)")
            }
            switch value {
            case .string: inputs.append([field: value])
            case .object(let members): inputs.append(members)
            default: throw CommandError("\(path), line \(index + 1): a job must be an object or a string")
            }
        }
        guard !inputs.isEmpty else { throw CommandError("\(path): holds no job") }
        return inputs
    }
}

extension RetryPolicy.Kind: ExpressibleByArgument {}
extension DependencyFailurePolicy: ExpressibleByArgument {}

/// The value of an option that holds JSON.
func parseOption(_ name: String, _ text: String) throws -> JSONValue {
    do throws(JSONError) {
        return try JSONValue(parsing: text)
    } catch {
        throw CommandError("\(name): \(error)")
    }
}
