// Workers and clients at the same time, on real connections: what a sequence of steps can't show.
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ConcurrencyTests {
    private static let jobs = 400

    /// Workers that die holding jobs, lose the answers to their claims, hand back and try again, beside clients that cancel
    /// and upkeep that rescues: every job ends once, with one event, and nothing is left over.
    @Test func nothingIsLostBetweenWorkersThatDie() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(8)
            let store = PostgresJobStore(pool: pool)
            let ids = try await store.enqueue(
                (0..<Self.jobs).map { number in
                    NewJob(
                        kind: .noop, input: [:], delay: number % 5 == 0 ? 0.01 : nil, maximumAttempts: 1000,
                        maximumWorkerDeaths: 1000)
                })
            let ends = Ledger()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<6 {
                    group.addTask { try await Self.work(UInt64(number), store, ids, ends) }
                }
                try await group.waitForAll()
            }
            let states = try await store.states(of: ids).values
            #expect(states.count == Self.jobs && states.allSatisfy { $0 == .succeeded || $0 == .cancelled })
            #expect(await ends.counts.values.allSatisfy { $0 == 1 })
            #expect(await ends.counts.count == states.count { $0 == .succeeded })
            #expect(try await store.takeEvents().map(\.id).sorted() == ids)
            #expect(try await PostgresJobStore(pool: pool).faults().map(\.description) == [])
            await pool.close()
        }
    }

    private static func work(
        _ seed: UInt64, _ store: PostgresJobStore, _ ids: [JobID], _ ends: Ledger
    ) async throws {
        var random = SeededRandom(seed: seed)
        var worker = try await store.worker()
        while try await !store.isIdle() {
            let leases: [Lease]
            do throws(StoreError) {
                leases = try await store.claim(worker, Int.random(in: 1...8, using: &random))
            } catch {
                guard case .workerLost = error else { throw error }
                worker = try await store.worker()
                continue
            }
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                // Dies, and is told so by the next claim.
                try await store.unregister(worker)
            case 1: _ = try await store.handBack(of: worker, except: [])
            default:
                let completions = leases.map { lease in
                    let outcome: Outcome =
                        switch Int.random(in: 0..<6, using: &random) {
                        case 0: .retry(Outcome.unlucky, after: 0)
                        case 1: .retry(Outcome.unlucky, after: 0.005)
                        case 2: .released()
                        default: .done
                        }
                    return Completion(lease: lease, outcome: outcome)
                }
                // A deadlock's victim sends again, as the completer does.
                let states = try await again { () throws(StoreError) in try await store.complete(completions) }
                await ends.add(states.filter { $0.value == .succeeded }.keys)
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                let job = ids.randomElement(using: &random)!
                _ = try await again { () throws(StoreError) in try await store.cancel(job) }
            }
            _ = try await again { () throws(StoreError) in try await store.maintain(maximum: 20) }
        }
        try await store.unregister(worker)
    }

    private static func again<Value>(
        _ body: () async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        while true {
            do throws(StoreError) {
                return try await body()
            } catch {
                guard case .unavailable = error else { throw error }
            }
        }
    }
}

private actor Ledger {
    private(set) var counts: [JobID: Int] = [:]
    func add(_ jobs: some Sequence<JobID> & Sendable) { for job in jobs { counts[job, default: 0] += 1 } }
}

extension PostgresJobStore {
    /// True when nothing waits or runs.
    fileprivate func isIdle() async throws(StoreError) -> Bool {
        try await queues().allSatisfy { $0.ready + $0.scheduled + $0.running == 0 }
    }
}
