// fsck: whether the tables of the queue agree.
import ArgumentParser
import JSON
import JobStorage

struct Fsck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look for contradictions between the tables of the queue.",
        discussion:
            "Reads all jobs; work may go on meanwhile. Needs the role millrace_admin. Exit code 1 when there are any.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let faults = try await common.withStore(patience: 3600) { try await $0.faults() }
        let text = faults.isEmpty ? "The tables of the queue agree." : faults.map(\.description).joined(separator: "\n")
        common.show(
            .array(faults.map { ["job": .integer($0.job), "fault": .string($0.fault)] }), text: text)
        if !faults.isEmpty { throw ExitCode.failure }
    }
}
