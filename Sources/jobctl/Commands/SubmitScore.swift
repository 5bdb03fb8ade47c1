// submit score: how likely are these continuations, or this text?
import ArgumentParser
import Foundation
import JSON
import JobModel
import OrderedCollections

struct SubmitScore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score", abstract: "Insert score jobs: the log-likelihood of given texts.",
        discussion: """
            Prints the job's id, or with --wait the scores. --file takes one job per line: either an input object such as \
            {"prompt": "…", "continuations": ["…", "…"]}, or a JSON string, which is a text. The options are defaults for \
            every line.
            """)

    @Option(help: "The text before the continuations, taken as it is.")
    var prompt: String?
    @Option(help: "Instead of --prompt: a chat, a JSON array of {\"role\", \"content\"}.")
    var messages: String?
    @Option(name: .customLong("continuation"), help: "Text to score after the prompt; may be repeated.")
    var continuations: [String] = []
    @Option(help: "Text to score from its beginning.")
    var text: String?
    @Option(help: "File with the text to score.")
    var textFile: String?
    @Option(help: "Tokens of one window of a text (default: 2048, or the context if that is less).")
    var window: Int?
    @Option(help: "Tokens by which the windows move on (default: they don't overlap).")
    var stride: Int?
    @Option(help: "Also print each token, with that many of the most probable ones (0 to 20).")
    var logprobs: Int?
    @OptionGroup var options: SubmitOptions

    func validate() throws {
        try options.requireOne(of: [
            "--prompt": prompt != nil, "--messages": messages != nil, "--text": text != nil,
            "--text-file": textFile != nil,
        ])
        let needsThem = prompt != nil || messages != nil
        guard needsThem == !continuations.isEmpty || options.file != nil else {
            throw ValidationError("--continuation goes with --prompt or --messages, and they need it")
        }
    }

    func run() async throws {
        try await options.submit(
            options.jobs(
                .score, try input(), lineAs: "text",
                defaults: [
                    "continuations": continuations.isEmpty ? nil : .array(continuations.map { .string($0) }),
                    "window": window.map { .integer(Int64($0)) }, "stride": stride.map { .integer(Int64($0)) },
                    "logprobs": logprobs.map { .integer(Int64($0)) },
                ]))
    }

    private func input() throws -> OrderedDictionary<String, JSONValue> {
        if let prompt { return ["prompt": .string(prompt)] }
        if let messages { return ["messages": try parseOption("--messages", messages)] }
        if let text { return ["text": .string(text)] }
        guard let textFile else { return [:] }
        guard let content = FileManager.default.contents(atPath: textFile),
            let text = String(validating: content, as: UTF8.self)
        else { throw CommandError("\(textFile): can't be read as UTF-8") }
        return ["text": .string(text)]
    }
}
