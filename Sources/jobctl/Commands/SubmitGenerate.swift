// submit generate: one prompt, a chat, or a file of many.
import ArgumentParser
import JSON
import JobModel
import OrderedCollections

struct SubmitGenerate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Insert generate jobs.",
        discussion: """
            Prints the job's id, or with --wait its answer. --file takes one job per line: either an input object such as \
            {"prompt": "…", "max_tokens": 20}, or a JSON string, which is a prompt. The options are defaults for every line.
            """)

    @Option(help: "What to ask.")
    var prompt: String?
    @Option(help: "A chat: a JSON array of {\"role\", \"content\"}.")
    var messages: String?
    @Option(help: "System message before the prompt.")
    var system: String?
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
    @Flag(help: "Print the answer while it grows.")
    var stream = false
    @OptionGroup var options: SubmitOptions

    func validate() throws {
        try options.requireOne(of: ["--prompt": prompt != nil, "--messages": messages != nil])
        if stream, options.file != nil { throw ValidationError("--stream follows one job, not a file") }
    }

    func run() async throws {
        let jobs = try options.jobs(
            .generate, try input(), lineAs: "prompt",
            defaults: [
                "system": system.map { .string($0) }, "max_tokens": maxTokens.map { .integer(Int64($0)) },
                "temperature": temperature.map { .number($0) }, "top_p": topP.map { .number($0) },
                "top_k": topK.map { .integer(Int64($0)) }, "seed": seed.map { .integer(Int64($0)) },
                "stop": stop.isEmpty ? nil : .array(stop.map { .string($0) }),
            ])
        if stream {
            try await options.submit(jobs) { store, id in
                try await AnswerStream(store: store, common: options.common).follow(id)
            }
        } else {
            try await options.submit(jobs)
        }
    }

    private func input() throws -> OrderedDictionary<String, JSONValue> {
        if let prompt { return ["prompt": .string(prompt)] }
        return try messages.map { ["messages": try parseOption("--messages", $0)] } ?? [:]
    }
}
