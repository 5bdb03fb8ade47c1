// submit generate: one prompt, a chat, or a file of many.
import ArgumentParser
import Foundation
import JSON
import JobModel
import JobStorage

struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Insert jobs.", subcommands: [SubmitGenerate.self], defaultSubcommand: SubmitGenerate.self)
}

struct SubmitGenerate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Insert generate jobs.",
        discussion: """
            Prints the job's id, or with --wait its answer. --file takes one job per line: either an input object such as \
            {"prompt": "…", "max_tokens": 20}, or a JSON string, which is a prompt. The options are defaults for every line.
            """)

    @Option(help: "Registered model.")
    var model = "smollm2-135m-instruct"
    @Option(help: "What to ask.")
    var prompt: String?
    @Option(help: "A chat: a JSON array of {\"role\", \"content\"}.")
    var messages: String?
    @Option(help: "System message before the prompt.")
    var system: String?
    @Option(help: "JSONL file with one job per line; - is standard input.")
    var file: String?
    @Option(help: "Tokens to generate at most.")
    var maxTokens: Int?
    @Option(parsing: .unconditional, help: "0 always takes the most probable token.")
    var temperature: Double?
    @Option(help: "Only the most probable tokens that make up this share.")
    var topP: Double?
    @Option(help: "Only that many of the most probable tokens.")
    var topK: Int?
    @Option(parsing: .unconditional, help: "The same seed gives the same answer.")
    var seed: Int?
    @Option(help: "End the answer before this text; may be repeated.")
    var stop: [String] = []
    @Option(help: "Queue to put the jobs in.")
    var queue: String?
    @Option(parsing: .unconditional, help: "-100 to 100, lower is sooner.")
    var priority: Int?
    @Flag(help: "Wait for the answers.")
    var wait = false
    @Option(help: "Seconds that --wait waits at most (default: as long as it takes).")
    var timeout: Double?
    @Flag(help: "Print the answer while it grows.")
    var stream = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        let sources = [prompt, messages, file].compactMap(\.self)
        guard sources.count == 1 else {
            throw ValidationError("exactly one of --prompt, --messages and --file is needed")
        }
        if let priority, !(-100...100).contains(priority) { throw ValidationError("--priority must be -100 to 100") }
        if stream, file != nil { throw ValidationError("--stream follows one job, not a file") }
    }

    func run() async throws {
        let jobs = try newJobs()
        // A file of millions takes its time.
        try await common.withStore(patience: 3600) { store in
            let ids = try await store.enqueue(jobs)
            if stream {
                try await AnswerStream(store: store, common: common).follow(ids[0])
            } else if wait {
                try await WaitReport(store: store, common: common, timeout: timeout).run(ids)
            } else {
                for id in ids { common.show(["id": .integer(id)], text: String(id)) }
            }
        }
    }

    private func newJobs() throws -> [NewJob] {
        if let file { return try lines(file).map { job(try merged($0)) } }
        var input: [(String, JSONValue)] = []
        if let prompt { input.append(("prompt", .string(prompt))) }
        if let messages {
            do throws(JSONError) {
                input.append(("messages", try JSONValue(parsing: messages)))
            } catch {
                throw CommandError("--messages: \(error)")
            }
        }
        return [job(try merged(.object(.init(input, uniquingKeysWith: { $1 }))))]
    }

    private func job(_ input: JSONValue) -> NewJob {
        NewJob(kind: .generate, model: model, input: input, queue: queue, priority: priority)
    }

    /// The line's own fields win over the options.
    private func merged(_ input: JSONValue) throws -> JSONValue {
        guard case .object(var members) = input else { throw CommandError("a job must be an object or a string") }
        func set(_ name: String, _ value: JSONValue?) { if members[name] == nil, let value { members[name] = value } }
        set("system", system.map { .string($0) })
        set("max_tokens", maxTokens.map { .integer(Int64($0)) })
        set("temperature", temperature.map { .number($0) })
        set("top_p", topP.map { .number($0) })
        set("top_k", topK.map { .integer(Int64($0)) })
        set("seed", seed.map { .integer(Int64($0)) })
        set("stop", stop.isEmpty ? nil : .array(stop.map { .string($0) }))
        return .object(members)
    }

    private func lines(_ path: String) throws -> [JSONValue] {
        let content =
            path == "-" ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: path)
        guard let content else { throw CommandError("\(path): can't be read") }
        var values: [JSONValue] = []
        for (index, line) in content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        {
            guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) else { continue }
            do throws(JSONError) {
                let value = try JSONValue(parsing: line)
                values.append(value.stringValue.map { ["prompt": .string($0)] } ?? value)
            } catch {
                throw CommandError("\(path), line \(index + 1), column \(error.column): \(error.reason)")
            }
            guard values.last?.objectValue != nil else {
                throw CommandError("\(path), line \(index + 1): a job must be an object or a string")
            }
        }
        guard !values.isEmpty else { throw CommandError("\(path): holds no job") }
        return values
    }
}
