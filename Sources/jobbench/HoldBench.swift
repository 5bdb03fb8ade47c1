// hold: jobs at a steady rate while somebody keeps a transaction open, so that no dead row of the queue can be removed.
import ArgumentParser
import Foundation
import JSON
import JobHandlers
import JobModel
import JobStorage
import JobWorker
import PostgresClient
import Synchronization

struct HoldBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "No-op jobs at a rate while a transaction stays open for minutes. Makes its own database.")

    @Option(help: "Jobs per second that come.")
    var rate = 800.0
    @Option(help: "Seconds before the transaction opens.")
    var before = 60.0
    @Option(help: "Seconds that it stays open.")
    var held = 600.0
    @OptionGroup var bench: BenchOptions

    /// What happened up to a moment.
    private struct Sample {
        var seconds: Double
        var finished: Int
        var dead: Int
        var backlog: Int
    }

    func run() async throws {
        try await ScratchDatabase.with { database in
            let store = database.store
            let signals = QueueSignals(database.configuration, logger: ScratchDatabase.logger)
            let worker = Worker(
                profile: WorkerProfile(name: "jobbench"), store: store, handlers: [NoopHandler(maximum: 100)],
                logger: ScratchDatabase.logger
            ) { id in Heartbeat(database.configuration, worker: id, logger: ScratchDatabase.logger) }
            let work = Task { await worker.run(work: signals.work) }
            let publishing = Task {
                while !Task.isCancelled {
                    if try await store.relayEvents(maximum: 1000, { _ in }) < 1000 {
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
            }
            let inserting = Task { try await insert(store) }
            let start = Date()
            let calm = try await samples(database, start, until: before)
            let holder = try await PostgresConnection.connect(database.configuration)
            try await holder.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM millrace.workers")
            let open = try await samples(database, start, until: before + held)
            _ = try await holder.query("COMMIT")
            await holder.close()
            inserting.cancel()
            publishing.cancel()
            worker.drain()
            await work.value
            signals.stop()
            show(calm, open)
        }
    }

    /// In batches of a tenth of a second, never more than the rate in total.
    private func insert(_ store: PostgresJobStore) async throws {
        let start = Date()
        var sent = 0
        while !Task.isCancelled {
            let due = Int(-start.timeIntervalSinceNow * rate)
            if due > sent {
                _ = try await store.enqueue((sent..<due).map { _ in NewJob(kind: .noop, input: [:]) })
                sent = due
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func samples(_ database: ScratchDatabase, _ start: Date, until end: Double) async throws -> [Sample] {
        var samples: [Sample] = []
        repeat {
            let row = try await database.pool.query(Self.sample)[0]
            samples.append(
                Sample(
                    seconds: -start.timeIntervalSinceNow, finished: try row.get("finished"), dead: try row.get("dead"),
                    backlog: try row.get("backlog")))
            try await Task.sleep(for: .seconds(10))
        } while -start.timeIntervalSinceNow < end
        return samples
    }

    private static let sample: SQL = """
        SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM millrace.run_tokens) AS finished,
            (SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname = 'millrace')::bigint AS dead,
            (SELECT count(*) FROM millrace.ready) AS backlog
        """

    private func show(_ calm: [Sample], _ open: [Sample]) {
        func rate(_ samples: some Collection<Sample>) -> Double {
            guard let first = samples.first, let last = samples.suffix(1).first, last.seconds > first.seconds else {
                return 0
            }
            return Double(last.finished - first.finished) / (last.seconds - first.seconds)
        }
        let before = rate(calm)
        let under = rate(open)
        let last = rate(open.suffix(7))
        let most = open.map(\.dead).max() ?? 0
        bench.show(
            [
                "jobs_per_second_before": .number(before), "jobs_per_second_held": .number(under),
                "jobs_per_second_last_minute": .number(last), "dead_rows": .integer(Int64(most)),
                "backlog": .integer(Int64(open.last?.backlog ?? 0)),
            ],
            text: String(
                format: "%.0f jobs/s before, %.0f jobs/s while a transaction was open (%.0f in its last minute); "
                    + "%d dead rows at most, %d jobs in line at the end", before, under, last, most,
                open.last?.backlog ?? 0))
    }
}
