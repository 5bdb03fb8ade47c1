// The queue's rules against real PostgreSQL.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite struct StoreTests {
    private func worker(_ store: PostgresJobStore) async throws -> WorkerID {
        let id = WorkerID()
        try await store.register(WorkerRegistration(id: id, name: "test", host: "h", processID: 1, profile: [:]))
        return id
    }

    private func claim(_ store: PostgresJobStore, _ worker: WorkerID, _ count: Int) async throws -> [Lease] {
        try await store.claim(
            ClaimRequest(worker: worker, queues: ["default"], kinds: [.noop], models: [], maximum: count))
    }

    private func with(_ body: (PostgresJobStore) async throws -> Void) async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool()
            try await body(PostgresJobStore(pool: pool))
            await pool.close()
        }
    }

    private static func succeeded(_ lease: Lease) -> Completion {
        Completion(lease: lease, outcome: .succeeded(result: ["n": .integer(lease.id)], usage: nil))
    }

    @Test func claimsInOrderAndOnlyAsManyAsWanted() async throws {
        try await with { store async throws in
            let ids = try await store.enqueue([
                NewJob(kind: .noop, input: [:]), NewJob(kind: .noop, input: [:], priority: -5),
                NewJob(kind: .noop, input: [:]), NewJob(kind: .noop, input: [:], delay: 3600),
            ])
            let worker = try await worker(store)
            #expect(try await claim(store, worker, 2).map(\.id) == [ids[1], ids[0]])
            #expect(try await claim(store, worker, 9).map(\.id) == [ids[2]])
            #expect(try await store.job(ids[3]).state == .scheduled)
        }
    }

    @Test func concurrentClaimsAreDisjoint() async throws {
        try await with { store async throws in
            let ids = try await store.enqueue((0..<400).map { _ in NewJob(kind: .noop, input: [:]) })
            let claimed = try await withThrowingTaskGroup(of: [Lease].self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let worker = try await worker(store)
                        var mine: [Lease] = []
                        while case let leases = try await claim(store, worker, 7), !leases.isEmpty { mine += leases }
                        return mine
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claimed.map(\.id).sorted() == ids)
            #expect(Set(claimed.map(\.runToken)).count == 400)
        }
    }

    @Test func staleWritesChangeNothing() async throws {
        try await with { store async throws in
            let id = try await store.enqueue([NewJob(kind: .noop, input: [:])])[0]
            let first = try await worker(store)
            let stale = try await claim(store, first, 1)[0]
            _ = try await store.pool.query("UPDATE millrace.workers SET beat_at = now() - interval '1 minute'")
            #expect(try await store.maintain(maximum: 10).rescued == 1)
            #expect(try await store.beat(first, isDraining: false).isAlive == false)
            await #expect(throws: StoreError.self) { try await claim(store, first, 1) }

            let fresh = try await claim(store, try await worker(store), 1)[0]
            #expect(fresh.id == id && fresh.attempt == 2 && fresh.runToken > stale.runToken)
            #expect(try await store.complete([Self.succeeded(stale)]).isEmpty)
            #expect(try await store.report([ProgressReport(id: id, runToken: stale.runToken, progress: [:])]).isEmpty)
            #expect(try await store.job(id).state == .running)
            #expect(try await store.complete([Self.succeeded(fresh)]) == [id: .succeeded])
            #expect(try await store.complete([Self.succeeded(fresh)]).isEmpty)
        }
    }

    @Test func outcomesLeadWhereTheTransitionSays() async throws {
        try await with { store async throws in
            let failure = JobFailure(code: "x", message: "y")
            for (outcome, ending, delay) in [
                (Outcome.failed(failure), Transition.Ending.failed, 0.0), (.retry(failure, after: 60), .retry, 60),
                (.retry(failure, after: 0), .retry, 0), (.released, .released, 0),
                (.cancelled(result: nil, usage: nil), .cancelled, 0),
            ] {
                for (maximum, cancels) in [(1, false), (3, false), (3, true)] {
                    let id = try await store.enqueue([NewJob(kind: .noop, input: [:], maximumAttempts: maximum)])[0]
                    let lease = try await claim(store, try await worker(store), 1)[0]
                    #expect(lease.id == id)
                    if cancels { #expect(try await store.cancel(id) == .running) }
                    let state = Transition.state(
                        after: ending, cancelRequested: cancels, attempt: 1, maximumAttempts: maximum, delay: delay)
                    #expect(try await store.complete([Completion(lease: lease, outcome: outcome)]) == [id: state])
                    let job = try await store.job(id)
                    #expect(job.state == state)
                    #expect(job.attempt == (ending == .released ? (cancels ? 1 : 0) : 1))
                    if !state.isFinal { _ = try await store.cancel(id) }
                }
            }
        }
    }

    @Test func cancelAndRetryByHand() async throws {
        try await with { store async throws in
            let id = try await store.enqueue([NewJob(kind: .noop, input: [:], uniqueKey: "k")])[0]
            await #expect(throws: StoreError.self) {
                try await store.enqueue([NewJob(kind: .noop, input: [:], uniqueKey: "k")])
            }
            await #expect(throws: StoreError.self) { try await store.retry(id) }
            #expect(try await store.cancel(id) == .cancelled)
            #expect(try await store.cancel(id) == .cancelled)
            #expect(try await store.retry(id) == .ready)
            #expect(try await claim(store, try await worker(store), 1).map(\.id) == [id])
            await #expect(throws: StoreError.self) { try await store.cancel(4_711) }
        }
    }

    @Test func eventsStayUntilTheyAreTaken() async throws {
        try await with { store async throws in
            let ids = try await store.enqueue((0..<3).map { _ in NewJob(kind: .noop, input: [:]) })
            let leases = try await claim(store, try await worker(store), 3)
            _ = try await store.complete(leases.map(Self.succeeded))
            await #expect(throws: (any Error).self) {
                try await store.relayEvents(maximum: 10) { _ in throw CancellationError() }
            }
            let taken = TakenEvents()
            #expect(try await store.relayEvents(maximum: 10) { await taken.add($0) } == 3)
            #expect(await taken.events.map(\.id) == ids)
            #expect(await taken.events.allSatisfy { $0.state == .succeeded && $0.result != nil })
            #expect(try await store.relayEvents(maximum: 10) { _ in } == 0)
        }
    }

    @Test func deadlinesAndTimesAreKept() async throws {
        try await with { store async throws in
            let ids = try await store.enqueue([
                NewJob(kind: .noop, input: [:], timeToStart: -1), NewJob(kind: .noop, input: [:], delay: 3600),
            ])
            _ = try await store.pool.query("UPDATE millrace.scheduled SET run_at = now()")
            #expect(try await store.maintain(maximum: 10) == Maintenance(promoted: 1, expired: 1))
            #expect(try await store.job(ids[0]).state == .expired)
            #expect(try await store.job(ids[1]).state == .ready)
        }
    }
}

private actor TakenEvents {
    private(set) var events: [JobEvent] = []
    func add(_ more: [JobEvent]) { events += more }
}
