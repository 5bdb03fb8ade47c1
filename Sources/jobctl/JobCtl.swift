// jobctl: people's and scripts' way to Millrace. Friendly output by default, `--json` on every command, and exit codes
// that scripts can use (`Connection.swift`).
import ArgumentParser
import Foundation

@main
struct JobCtl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobctl",
        abstract: "Submit, watch and manage Millrace jobs.",
        discussion: """
            Servers are found by DATABASE_URL and REDIS_URL, or are those that 'jobctl up' started in MILLRACE_HOME \
            (default .millrace in the working folder).

            Exit codes: 0 done; 1 an error; 2 a job that was waited for did not succeed; 3 and 4 see replay; 64 wrong usage; 69 a server \
            can't be reached; 75 the time given for a wait is over; 77 a server refuses the user or the password.
            """,
        groupedSubcommands: [
            CommandGroup(name: "Servers", subcommands: [Up.self, Down.self, Env.self, Migrate.self]),
            CommandGroup(
                name: "Jobs",
                subcommands: [
                    Submit.self, Batch.self, Status.self, Wait.self, List.self, Watch.self, Stream.self, Cancel.self,
                    Retry.self,
                    Replay.self, Dead.self, RedriveJobs.self,
                ]),
            CommandGroup(
                name: "Fleet",
                subcommands: [
                    Model.self, Workers.self, Queues.self, ChangeQueue.self, Pause.self, Resume.self, Limit.self,
                    Rate.self, Fsck.self, Doctor.self,
                ]),
        ]
    )

    /// As ArgumentParser's own, with exit codes that tell what is wrong.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            guard let code = ExitCode(of: error) else { exit(withError: error) }
            FileHandle.standardError.write(Data("Error: \(error)\n".utf8))
            exit(withError: code)
        }
    }
}
