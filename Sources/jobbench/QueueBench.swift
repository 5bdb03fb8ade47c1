// queue: no-op jobs on DATABASE_URL, with durable commits: inserted, then claimed and completed; and how soon a single job is
// picked up by an idle worker. Events stay in the outbox.
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
    @Option(help: "Then so many single jobs, each when the worker is idle: from the INSERT to the start.")
    var single = 100
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard (1...100_000).contains(single) else { throw ValidationError("--single must be 1 to 100,000") }
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
        var waits: [Double] = []
        for _ in 0..<single {
            let id = try await store.enqueue([NewJob(kind: .noop, input: [:], queue: queue)])[0]
            while try await !store.isIdle(queue) { try await Task.sleep(for: .milliseconds(5)) }
            waits.append(try await store.wait(of: id))
        }
        waits.sort()
        worker.drain()
        await work.value
        signals.stop()
        await pool.close()
        let (half, most) = (waits[single / 2], waits[min(single - 1, single * 99 / 100)])
        bench.show(
            [
                "jobs": .integer(Int64(jobs)), "jobs_per_second": .number(rate),
                "enqueued_jobs_per_second": .number(inserted), "pickup_seconds_p50": .number(half),
                "pickup_seconds_p99": .number(most),
            ],
            text: String(
                format: "%.0f jobs/s claimed and completed, %.0f jobs/s inserted; "
                    + "a single job starts after %.1f ms (p50), %.1f ms (p99)", rate, inserted, half * 1e3, most * 1e3))
    }
}
