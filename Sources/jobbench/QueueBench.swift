// queue: no-op jobs on DATABASE_URL, with durable commits: inserted, then claimed and completed. Events stay in the outbox.
import ArgumentParser
import Foundation
import JSON
import JobHandlers
import JobModel
import JobSettings
import JobStorage
import JobWorker
import Logging
import PostgresClient

struct QueueBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "No-op jobs per second, from the first claim to the last state.")

    @Option(help: "Jobs to run.")
    var jobs = 20_000
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard (1...10_000_000).contains(jobs) else { throw ValidationError("--jobs must be 1 to 10,000,000") }
    }

    func run() async throws {
        var logger = Logger(label: "jobbench")
        logger.logLevel = .warning
        let addresses = try ServerAddresses(home: MillraceHome())
        let database = try PostgresConfiguration(url: addresses.database, applicationName: "jobbench")
        let pool = PostgresPool(database, size: 4, logger: logger)
        let store = PostgresJobStore(pool: pool)
        // A queue of its own: jobs of others stay untouched.
        let queue = "bench-\(UUID().uuidString.prefix(8).lowercased())"

        let inserting = Date()
        var ids: [JobID] = []
        for start in stride(from: 0, to: jobs, by: 10_000) {
            let part = (start..<min(start + 10_000, jobs)).map { _ in NewJob(kind: .noop, input: [:], queue: queue) }
            ids += try await store.enqueue(part)
        }
        let inserted = Double(jobs) / -inserting.timeIntervalSinceNow

        let signals = QueueSignals(database, logger: logger)
        let worker = Worker(
            profile: WorkerProfile(name: "jobbench", queues: [queue]), store: store, handlers: [NoopHandler()],
            logger: logger
        ) { [logger] id in Heartbeat(database, worker: id, logger: logger) }
        let running = Date()
        let work = Task { await worker.run(work: signals.work) }
        while try await !store.isIdle(queue) { try await Task.sleep(for: .milliseconds(20)) }
        let rate = Double(jobs) / -running.timeIntervalSinceNow
        worker.drain()
        await work.value
        signals.stop()
        await pool.close()
        bench.show(
            [
                "jobs": .integer(Int64(jobs)), "jobs_per_second": .number(rate),
                "enqueued_jobs_per_second": .number(inserted),
            ],
            text: String(format: "%.0f jobs/s claimed and completed, %.0f jobs/s inserted", rate, inserted))
    }
}
