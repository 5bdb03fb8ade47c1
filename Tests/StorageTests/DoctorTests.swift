// The doctor finds each thing when it is really so, and nothing when all is well.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct DoctorTests {
    /// - Parameter change: what is wrong; run on a database whose only worker serves the queue default.
    private static func findings(
        worker hasWorker: Bool = true, _ change: (PostgresPool, PostgresJobStore) async throws -> Void
    ) async throws -> [String] {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(2)
            let store = PostgresJobStore(pool: pool)
            if hasWorker {
                try await store.register(
                    WorkerRegistration(
                        id: WorkerID(), name: "w", host: "h", processID: 1, profile: ["queues": ["default"]]))
            }
            try await change(pool, store)
            let found = try await store.findings().map { "\($0.severity.rawValue) \($0.check): \($0.finding)" }
            await pool.close()
            return found
        }
    }

    @Test func nothingIsWrongWithAWorkingQueue() async throws {
        #expect(
            try await Self.findings { _, store in
                _ = try await store.enqueue([
                    NewJob(kind: .noop, input: [:]), NewJob(kind: .noop, input: [:], delay: 60),
                ])
            } == [])
    }

    @Test func jobsWithoutWorkers() async throws {
        #expect(
            try await Self.findings(worker: false) { _, store in _ = try await store.enqueueOne() } == [
                "error workers: 1 jobs are ready, but no worker is alive"
            ])
    }

    @Test func queuesThatNobodyServes() async throws {
        let found = try await Self.findings { _, store in
            _ = try await store.enqueueOne(NewJob(kind: .noop, input: [:], queue: "other"))
            _ = try await store.enqueueOne(NewJob(kind: .noop, input: [:], queue: "held"))
            try await store.setPaused(true, queue: "held")
        }
        #expect(
            found == [
                "error queues: queue other has ready jobs, but no worker that is alive serves it",
                "warning queues: queue held is paused, and jobs wait in it",
            ])
    }

    /// The changes are what these conditions are, but for the time that they would take to come about.
    @Test(arguments: [
        (
            "UPDATE millrace.workers SET beat_at = beat_at - interval '30 seconds'",
            "error workers: worker w on h has been silent for 30 s and still holds 1 jobs"
        ),
        (
            "UPDATE millrace.leases SET claimed_at = claimed_at - interval '1 hour'; UPDATE millrace.jobs SET kind = 'generate'",
            "warning stuck: job 1 has run for 3600 s and written nothing"
        ),
        (
            "ALTER TABLE millrace.ready SET (autovacuum_enabled = false)",
            "error autovacuum: autovacuum is off for millrace.ready"
        ),
        (
            "INSERT INTO millrace.events (job_id, finished_at, attempt, state) VALUES (1, clock_timestamp() - interval '90 seconds', 1, 'failed')",
            "warning outbox: the oldest event has waited for 90 s to be published"
        ),
        (
            "INSERT INTO millrace.scheduled VALUES (1, clock_timestamp() - interval '45 seconds')",
            "error schedule: the job that should have become ready first is 45 s late"
        ),
        (
            "INSERT INTO millrace.dead_letters (job_id, queue, kind, code) SELECT n, 'default', 'noop', 'unlucky' FROM generate_series(1, 12) n",
            "warning failures: 12 jobs of queue default failed in the last hour with code unlucky"
        ),
    ])
    func whatIsWrongIsTold(change: String, expected: String) async throws {
        let found = try await Self.findings { pool, store in
            _ = try await store.enqueueOne()
            let worker = try #require(try await store.workers().first?.id)
            #expect(try await store.claim(worker, 1).count == 1)
            let connection = try await PostgresConnection.connect(pool.configuration)
            try await connection.script(SQL(trusted: change))
            await connection.close()
        }
        #expect(found == [expected])
    }

    @Test func transactionsHeldOpen() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(2)
            let store = PostgresJobStore(pool: pool)
            let holder = try await PostgresConnection.connect(
                try PostgresConfiguration(url: database.url, applicationName: "report"))
            try await holder.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM millrace.jobs")
            // Too short to be told.
            #expect(try await store.findings() == [])
            let pid = try await holder.query("SELECT pg_backend_pid() AS pid")[0].get("pid", as: Int.self)
            let found = try await store.findings(patience: 0)
            #expect(found.count == 1 && found.first?.check == "snapshots")
            #expect(found.first?.finding.hasPrefix("process \(pid) (report, user ") == true)
            #expect(found.first?.advice.contains("idle in transaction") == true)
            _ = try await holder.query("COMMIT")
            #expect(try await store.findings(patience: 0) == [])
            await holder.close()
            await pool.close()
        }
    }
}
