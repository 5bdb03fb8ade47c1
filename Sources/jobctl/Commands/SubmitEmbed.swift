// submit embed: texts as vectors.
import ArgumentParser
import JSON
import JobModel

struct SubmitEmbed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed", abstract: "Insert embed jobs: texts as vectors.",
        discussion: """
            Prints the job's id, or with --wait what came of it; --json --wait prints the vectors. --file takes one job per \
            line: either an input object such as {"input": ["…", "…"], "pooling": "last"}, or a JSON string, which is a \
            text. The options are defaults for every line.
            """)

    @Option(name: .customLong("text"), help: "Text to embed; may be repeated: one job for all of them.")
    var texts: [String] = []
    @Option(help: "mean of all tokens (the default) or last token.")
    var pooling: String?
    @Flag(help: "Leave the vectors' lengths as they are.")
    var noNormalize = false
    @OptionGroup var options: SubmitOptions

    func validate() throws { try options.requireOne(of: ["--text": !texts.isEmpty]) }

    func run() async throws {
        let input: JSONValue = texts.count == 1 ? .string(texts[0]) : .array(texts.map { .string($0) })
        try await options.submit(
            options.jobs(
                .embed, ["input": input], lineAs: "input",
                defaults: [
                    "pooling": pooling.map { .string($0) }, "normalize": noNormalize ? .bool(false) : nil,
                ]))
    }
}
