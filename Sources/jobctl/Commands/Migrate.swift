// migrate up, down, status, dump: the schema.
import ArgumentParser
import Foundation
import JSON
import JobMigrations
import JobSettings
import JobStorage

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database's schema up or down.",
        subcommands: [MigrateUp.self, MigrateDown.self, MigrateStatus.self, MigrateDump.self])
}

struct MigrateUp: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "up", abstract: "Apply what is pending.")
    @Option(help: "Stop after this version.")
    var to: Int?
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let applied = try await Migrator(common.databaseConfiguration()).up(to: to)
        common.show(
            .array(applied.map { .string("\($0.version)_\($0.name)") }),
            text: applied.isEmpty
                ? "The schema is up to date."
                : applied.map { "applied \($0.version)_\($0.name)" }.joined(separator: "\n"))
    }
}

struct MigrateDown: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Take migrations back, newest first. Going to 0 deletes all jobs and results.")
    @Option(help: "The version to end at.")
    var to: Int
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let removed = try await Migrator(common.databaseConfiguration()).down(to: to)
        common.show(
            .array(removed.map { .string("\($0.version)_\($0.name)") }),
            text: removed.isEmpty
                ? "Nothing to take back." : removed.map { "took back \($0.version)_\($0.name)" }.joined(separator: "\n")
        )
    }
}

struct MigrateStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "List migrations and their state.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let states = try await Migrator(common.databaseConfiguration()).status()
        var table = TextTable(header: ["VERSION", "NAME", "STATE", "APPLIED"])
        for state in states {
            table.rows.append(["\(state.version)", state.name, state.state.rawValue, state.appliedAt ?? "-"])
        }
        common.show(
            .array(
                states.map {
                    [
                        "version": .integer(Int64($0.version)), "name": .string($0.name),
                        "state": .string($0.state.rawValue),
                    ]
                }),
            text: table.text(orElse: "No migrations."))
    }
}

struct MigrateDump: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Print the schema as the database has it now, as SQL.",
        discussion: """
            Tables, columns, types, defaults, constraints, indexes, functions, triggers, policies, comments and grants of \
            the schema millrace, from the catalogs, in an order of its own: two databases with the same schema print the \
            same, whatever way they came to it. Rows are not printed. The output can be loaded into an empty database \
            where the roles millrace_client, millrace_worker and millrace_admin exist.
            """)
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let statements = try await SchemaDump.statements(common.databaseConfiguration())
        guard !statements.isEmpty else {
            throw ValidationError("the database has no schema millrace; 'jobctl migrate up' makes it")
        }
        common.show(
            .array(statements.map { .string($0) }), text: statements.map { $0 + ";" }.joined(separator: "\n\n"))
    }
}
