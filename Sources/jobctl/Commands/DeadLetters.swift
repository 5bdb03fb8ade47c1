// dead, redrive: failed jobs, and another chance for them.
import ArgumentParser
import JSON
import JobModel
import JobStorage

/// Which failed jobs.
struct DeadLetterOptions: ParsableArguments {
    @Option(help: "Only jobs of this queue.")
    var queue: String?
    @Option(help: "Only jobs of this kind.")
    var kind: String?
    @Option(help: "Only jobs whose error has this code, e.g. poison.")
    var code: String?
    @Option(help: "Only jobs that failed in so many seconds before now.")
    var within: Double?

    var filter: DeadLetterFilter { DeadLetterFilter(queue: queue, kind: kind, code: code, failedWithin: within) }

    func validate() throws {
        if let within, !(within >= 0 && within.isFinite) { throw ValidationError("--within must not be negative") }
    }
}

struct Dead: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List failed jobs with the reason, newest first.",
        discussion: "'jobctl status ID' shows all attempts of one; 'jobctl redrive' puts them in line again.")
    @OptionGroup var options: DeadLetterOptions
    @Option(help: "Only jobs with a smaller id: the next page.")
    var before: JobID?
    @Option(help: "Jobs at most, 1 to 10000.")
    var limit = 20
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit must be 1 to 10000") }
    }

    func run() async throws {
        let jobs = try await common.withStore {
            try await $0.deadLetters(options.filter, before: before, limit: limit)
        }
        var table = TextTable(header: ["ID", "QUEUE", "KIND", "ATTEMPT", "FAILED", "REASON"])
        for job in jobs {
            table.rows.append([
                "\(job.id)", job.queue, job.kind.rawValue, "\(job.attempt)", String((job.finishedAt ?? "").prefix(19)),
                String((job.failure ?? "").replacing("\n", with: " ").prefix(80)),
            ])
        }
        common.show(.array(jobs.map(\.json)), text: table.text(orElse: "No failed jobs."))
    }
}

struct RedriveJobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redrive", abstract: "Put failed jobs in line again, all or those that the options name.",
        discussion: """
            They begin anew: without the failures, deaths and deadline of before. A job whose unique key another one has \
            meanwhile stays where it is.
            """)
    @OptionGroup var options: DeadLetterOptions
    @OptionGroup var common: CommonOptions

    /// Jobs of one transaction.
    private static let step = 1000

    func run() async throws {
        let (redriven, kept) = try await common.withStore { store in
            var (redriven, seen, last) = (0, 0, JobID(0))
            while true {
                let redrive = try await store.redrive(options.filter, after: last, maximum: Self.step)
                redriven += redrive.redriven.count
                seen += redrive.seen
                guard let end = redrive.last else { return (redriven, seen - redriven) }
                last = end
            }
        }
        let note = kept > 0 ? "; \(kept) stay failed, since other jobs have their keys" : ""
        common.show(
            ["redriven": .integer(Int64(redriven)), "kept": .integer(Int64(kept))],
            text: "\(redriven) \(redriven == 1 ? "job is" : "jobs are") in line again\(note)")
    }
}
