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
    @Flag(help: "Wait for the answers.")
    var wait = false
    @Option(help: "Seconds that --wait waits at most (default: as long as it takes).")
    var timeout: Double?
    @OptionGroup var common: CommonOptions

    func validate() throws {
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
            return NewJob(kind: kind, model: model, input: .object(members), queue: queue, priority: priority)
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

/// The value of an option that holds JSON.
func parseOption(_ name: String, _ text: String) throws -> JSONValue {
    do throws(JSONError) {
        return try JSONValue(parsing: text)
    } catch {
        throw CommandError("\(name): \(error)")
    }
}
