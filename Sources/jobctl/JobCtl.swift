// jobctl: people's and scripts' way to Millrace. Friendly output by default, `--json` on every command, and exit codes
// that scripts can use (see `Connection.swift`).
import ArgumentParser

@main
struct JobCtl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobctl",
        abstract: "Submit, watch and manage Millrace jobs.",
        discussion: """
            Servers are found by DATABASE_URL and REDIS_URL, or are those that 'jobctl up' started in MILLRACE_HOME \
            (default .millrace in the working folder).
            """,
        groupedSubcommands: [
            CommandGroup(name: "Servers", subcommands: [Up.self, Down.self, Env.self, Migrate.self]),
            CommandGroup(
                name: "Jobs",
                subcommands: [
                    Submit.self, Status.self, Wait.self, List.self, Watch.self, Cancel.self, Retry.self,
                ]),
            CommandGroup(name: "Fleet", subcommands: [Model.self, Workers.self, Queues.self]),
        ]
    )
}
