// The stores that one suite holds for, each with a clock that a test can move.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import Synchronization
import TestSupport

enum StoreKind: String, CaseIterable, Sendable { case memory, postgres }

struct StoreUnderTest: Sendable {
    let store: any JobStore
    /// Lets so many seconds pass.
    let advance: @Sendable (Double) async throws -> Void

    static let backoff = Backoff(first: 60, longest: 3600, jitter: 0)

    static func with(_ kind: StoreKind, _ body: (StoreUnderTest) async throws -> Void) async throws {
        switch kind {
        case .memory: try await body(memory())
        case .postgres:
            try await TestDatabase.with { database async throws in
                let pool = database.pool()
                try await body(postgres(pool))
                await pool.close()
            }
        }
    }

    static func memory() -> StoreUnderTest {
        let clock = ManualClock()
        return StoreUnderTest(
            store: MemoryJobStore(backoff: backoff, clock: { clock.read() }),
            advance: { clock.advance($0) })
    }

    static func postgres(_ pool: PostgresPool) -> StoreUnderTest {
        StoreUnderTest(
            store: PostgresJobStore(pool: pool, backoff: backoff),
            advance: { seconds in
                // The database's clock can't be moved, but all that it is compared with can.
                _ = try await pool.query(shift, [seconds])
            })
    }

    private static let shift: SQL = """
        WITH step AS (SELECT make_interval(secs => $1::float8) AS length),
        workers AS (UPDATE millrace.workers SET beat_at = beat_at - length, started_at = started_at - length FROM step),
        rates AS (UPDATE millrace.rates SET as_of = as_of - length FROM step),
        scheduled AS (UPDATE millrace.scheduled SET run_at = run_at - length FROM step),
        deadlines AS (UPDATE millrace.deadlines SET deadline = deadline - length FROM step),
        answers AS (UPDATE millrace.answers SET kept_until = kept_until - length FROM step),
        ready AS (UPDATE millrace.ready SET run_at = run_at - length, place = place - length FROM step)
        UPDATE millrace.jobs SET run_at = run_at - length, created_at = created_at - length FROM step
        """
}

/// Moves a microsecond at each reading, as a real clock does between two statements.
final class ManualClock: Sendable {
    private let now = Mutex(1_700_000_000.0)

    func read() -> Double {
        now.withLock { now in
            now += 1e-6
            return now
        }
    }

    func advance(_ seconds: Double) { now.withLock { $0 += seconds } }
}

extension JobStore {
    func worker(_ name: String = "test") async throws(StoreError) -> WorkerID {
        let id = WorkerID()
        try await register(WorkerRegistration(id: id, name: name, host: "h", processID: 1, profile: [:]))
        return id
    }

    /// noop jobs of the default queue.
    func claim(_ worker: WorkerID, _ maximum: Int) async throws(StoreError) -> [Lease] {
        try await claim(
            ClaimRequest(worker: worker, queues: ["default"], kinds: [.noop], models: [], maximum: maximum))
    }

    func enqueueOne(_ job: NewJob = NewJob(kind: .noop, input: [:])) async throws(StoreError) -> JobID {
        try await enqueue([job])[0]
    }

    func complete(_ lease: Lease, _ outcome: Outcome) async throws(StoreError) -> JobState? {
        try await complete([Completion(lease: lease, outcome: outcome)])[lease.id]
    }

    /// Takes all events that are there.
    func takeEvents() async throws -> [JobEvent] {
        let taken = TakenEvents()
        while try await relayEvents(maximum: 100, { await taken.add($0) }) == 100 {}
        return await taken.events
    }
}

actor TakenEvents {
    private(set) var events: [JobEvent] = []
    func add(_ more: [JobEvent]) { events += more }
}

extension Outcome {
    static let done = Outcome.succeeded(result: ["text": "ok"], usage: ["total_tokens": 3])
    static let unlucky = JobFailure(code: "unlucky", message: "try again")
}
