// doctor: what is wrong with the database and the fleet, and what may be done about it.
import ArgumentParser
import Foundation
import JSON
import JobMigrations
import JobStorage
import PostgresClient

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look for what keeps jobs from running, or soon will.",
        discussion: """
            Held snapshots, bloat, silent workers, queues that nobody serves, an outbox that grows, unsafe settings, and more; \
            see docs/jobctl.md. Needs the role millrace_admin, and pg_read_all_stats to see others' sessions. Exit code 1 when \
            it finds something.
            """)
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let findings: [Finding]
        if let schema = try await schemaFinding() {
            // The tables may be others than this program's statements are about.
            findings = [schema]
        } else {
            findings = try await common.withStore { try await $0.findings() }
        }
        let text = findings.map {
            "\($0.severity.rawValue.uppercased())  \($0.check): \($0.finding)\n         \($0.advice)"
        }
        common.show(
            .array(findings.map(\.json)), text: findings.isEmpty ? "Nothing is wrong." : text.joined(separator: "\n"))
        if !findings.isEmpty { throw ExitCode.failure }
    }

    private func schemaFinding() async throws -> Finding? {
        let migrations = try await Migrator(try common.databaseConfiguration()).status()
        let pending = migrations.count { $0.state != .applied }
        guard pending > 0 else { return nil }
        return Finding(
            .error, "schema",
            "\(pending) of this program's \(Migrations.all.count) migrations are not applied as this program has them",
            "jobctl migrate status shows which; jobctl migrate up applies what is missing.")
    }
}

extension Finding {
    fileprivate var json: JSONValue {
        [
            "severity": .string(severity.rawValue), "check": .string(check), "finding": .string(finding),
            "advice": .string(advice),
        ]
    }
}
