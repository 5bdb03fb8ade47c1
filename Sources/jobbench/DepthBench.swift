// depth: how long a claim takes when the line is long, much is deferred and much has ended, against an empty queue.
import ArgumentParser
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient

struct DepthBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "depth", abstract: "Time of a claim in a deep queue, against an empty one. Makes its own database."
    )

    @Option(help: "Jobs in line.")
    var ready = 1_000_000
    @Option(help: "Jobs for later.")
    var deferred = 5_000_000
    @Option(help: "Jobs that have ended.")
    var finished = 5_000_000
    @Option(help: "Claims that are timed in each state.")
    var claims = 1000
    @Option(help: "Jobs that each asks for.")
    var batch = 32
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard claims >= 100, batch >= 1, ready >= 0, deferred >= 0, finished >= 0 else {
            throw ValidationError("--claims must be 100 or more, --batch 1 or more, the others not negative")
        }
    }

    func run() async throws {
        try await ScratchDatabase.with { database in
            let empty = try await times(database)
            try await fill(database)
            let deep = try await times(database)
            let ratio = deep.p99 / empty.p99
            bench.show(
                [
                    "ready": .integer(Int64(ready)), "deferred": .integer(Int64(deferred)),
                    "finished": .integer(Int64(finished)), "batch": .integer(Int64(batch)),
                    "empty_claim_seconds_p50": .number(empty.p50), "empty_claim_seconds_p99": .number(empty.p99),
                    "deep_claim_seconds_p50": .number(deep.p50), "deep_claim_seconds_p99": .number(deep.p99),
                    "p99_ratio": .number(ratio),
                ],
                text: String(
                    format:
                        "claim of %d jobs: empty p50 %.2f ms, p99 %.2f ms; deep p50 %.2f ms, p99 %.2f ms; ratio %.2f",
                    batch, empty.p50 * 1e3, empty.p99 * 1e3, deep.p50 * 1e3, deep.p99 * 1e3, ratio))
        }
    }

    /// As many jobs come as go, so that each state stays as it is.
    private func times(_ database: ScratchDatabase) async throws -> (p50: Double, p99: Double) {
        let store = database.store
        let worker = WorkerID()
        try await store.register(
            WorkerRegistration(id: worker, name: "jobbench", host: "", processID: getpid(), profile: [:]))
        let request = ClaimRequest(worker: worker, queues: ["default"], kinds: [.noop], models: [], maximum: batch)
        let jobs = (0..<batch).map { _ in NewJob(kind: .noop, input: [:]) }
        var times: [Double] = []
        for _ in 0..<claims {
            _ = try await store.enqueue(jobs)
            let start = ContinuousClock.now
            let leases = try await store.claim(request)
            let duration = ContinuousClock.now - start
            times.append(Double(duration.components.attoseconds) * 1e-18 + Double(duration.components.seconds))
            guard leases.count == batch else {
                throw ScratchDatabase.Fault(description: "\(leases.count) jobs claimed")
            }
            _ = try await store.complete(
                leases.map { Completion(lease: $0, outcome: .succeeded(result: [:], usage: nil)) })
            _ = try await store.beat(worker, isDraining: false)
            _ = try await store.relayEvents(maximum: 10_000) { _ in }
        }
        try await store.unregister(worker)
        times.sort()
        return (times[claims / 2], times[claims * 99 / 100])
    }

    /// Rows as their jobs would have left them; through the insert trigger it would take an hour.
    private func fill(_ database: ScratchDatabase) async throws {
        try await database.pool.withConnection { connection throws(PostgresError) in
            try await connection.script(
                SQL(
                    trusted: """
                        ALTER TABLE millrace.jobs DISABLE TRIGGER after_insert;
                        INSERT INTO millrace.jobs (kind, input, state, result, attempt, started_at, finished_at)
                        SELECT 'noop', '{}', 'succeeded', '{}', 1, now(), now() FROM generate_series(1, \(finished));
                        INSERT INTO millrace.jobs (kind, input, state, run_at)
                        SELECT 'noop', '{}', 'scheduled', now() + interval '1 day' FROM generate_series(1, \(deferred));
                        INSERT INTO millrace.scheduled (job_id, run_at)
                        SELECT id, run_at FROM millrace.jobs WHERE state = 'scheduled';
                        INSERT INTO millrace.jobs (kind, input) SELECT 'noop', '{}' FROM generate_series(1, \(ready));
                        SELECT millrace.put_in_line(ARRAY(SELECT id FROM millrace.jobs WHERE state = 'ready'));
                        ALTER TABLE millrace.jobs ENABLE TRIGGER after_insert
                        """))
        }
    }
}
