// stream: an answer while it grows, from any place.
import ArgumentParser
import JobModel

struct Stream: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a job's answer while it grows.",
        discussion: """
            With --json one document for each piece, with its offset in bytes, and the job at the end. --from goes on where a \
            reader was: its offset and the bytes of its piece, added. Works while Redis is down. Exit code 2 when the job did \
            not succeed.
            """)
    @Argument(help: "The job's id.")
    var id: JobID
    @Option(help: "Bytes of the answer to leave out.")
    var from = 0
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if from < 0 { throw ValidationError("--from must be 0 or more") }
    }

    func run() async throws {
        try await common.withStore { try await AnswerStream(store: $0, common: common).follow(id, from: from) }
    }
}
