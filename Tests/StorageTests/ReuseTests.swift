// Equal jobs: computed once, never shared between those who may not see each other's, and nobody waits for nothing.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite struct ReuseTests {
    private static let digest = String(repeating: "a", count: 64)
    private static let answer: JSONValue = ["text": "ok", "model_digest": .string(digest)]
    private static let done = Outcome.succeeded(result: answer, usage: ["total_tokens": 3])

    private static func job(_ input: String = "x", tenant: String? = nil, cache: Bool? = nil) -> NewJob {
        NewJob(kind: .embed, model: "m", input: ["input": .string(input)], tenant: tenant, cache: cache)
    }

    private func with(_ kind: StoreKind, _ body: (StoreUnderTest) async throws -> Void) async throws {
        try await StoreUnderTest.with(kind) { test in
            try await register(test, digest: Self.digest)
            try await body(test)
            if let store = test.store as? PostgresJobStore {
                #expect(try await store.faults().map(\.description) == [])
            }
        }
    }

    private func register(_ test: StoreUnderTest, digest: String) async throws {
        try await test.store.register(
            RegisteredModel(name: "m", digest: digest, architecture: "llama", contextLength: 100, uri: "/m", bytes: 1))
    }

    private func claim(_ test: StoreUnderTest, _ worker: WorkerID, _ maximum: Int = 10) async throws -> [Lease] {
        try await test.store.claim(
            ClaimRequest(worker: worker, queues: ["default"], kinds: [.embed], models: ["m"], maximum: maximum))
    }

    private func states(_ test: StoreUnderTest, _ ids: [JobID]) async throws -> [JobState?] {
        let states = try await test.store.states(of: ids)
        return ids.map { states[$0] }
    }

    @Test(arguments: StoreKind.allCases) func equalJobsAreComputedOnce(_ kind: StoreKind) async throws {
        try await with(kind) { test in
            let worker = try await test.store.worker()
            let ids = try await test.store.enqueue((0..<50).map { _ in Self.job() })
            let leases = try await claim(test, worker)
            #expect(leases.map(\.id) == [ids[0]])
            #expect(try await claim(test, worker) == [])
            #expect(try await test.store.complete(leases[0], Self.done) == .succeeded)
            for id in ids.dropFirst() {
                let job = try await test.store.job(id)
                #expect(job.state == .succeeded && job.result == Self.answer && job.attempt == 0)
                #expect(job.usage?["cached_result"] == true && job.usage?["total_tokens"] == 3)
            }
            #expect(try await test.store.job(ids[0]).usage?["cached_result"] == nil)
            #expect(Set(try await test.store.takeEvents().map(\.id)) == Set(ids))

            let late = try await test.store.enqueueOne(Self.job())
            #expect(try await claim(test, worker) == [])
            let answered = try await test.store.job(late)
            #expect(answered.state == .succeeded && answered.result == Self.answer)
            #expect(answered.usage?["cached_result"] == true)
            #expect(try await test.store.takeEvents().map(\.id) == [late])

            try await test.advance(3700)
            _ = try await test.store.maintain(maximum: 10)
            let other = try await test.store.worker()
            _ = try await test.store.enqueueOne(Self.job())
            #expect(try await claim(test, other).count == 1)
        }
    }

    @Test(arguments: StoreKind.allCases) func whatIsNotComputedCostsNothing(_ kind: StoreKind) async throws {
        try await with(kind) { test in
            for unit in JobRate.Unit.allCases {
                // So slow that the time of the test itself adds nothing.
                try await test.store.setRate(JobRate(.queue, "default", unit, perSecond: 0.0001, burst: 1000))
            }
            let worker = try await test.store.worker()
            _ = try await test.store.enqueue((0..<3).map { _ in Self.job() })
            let leases = try await claim(test, worker)
            #expect(leases.count == 1)
            _ = try await test.store.complete(leases[0], Self.done)
            _ = try await test.store.enqueueOne(Self.job())
            #expect(try await claim(test, worker) == [])
            let left = try await test.store.rates().map { ($0.rate.unit, $0.level.rounded(.down)) }
            #expect(left.map(\.0) == [.jobs, .tokens] && left.map(\.1) == [999, 997])
        }
    }

    @Test(arguments: StoreKind.allCases) func othersAreComputedApart(_ kind: StoreKind) async throws {
        try await with(kind) { test in
            let worker = try await test.store.worker()
            _ = try await test.store.enqueue([
                Self.job(), Self.job("y"), Self.job(tenant: "other"), Self.job(cache: false), Self.job(cache: false),
            ])
            let leases = try await claim(test, worker)
            #expect(leases.count == 5)
            for lease in leases { _ = try await test.store.complete(lease, Self.done) }
            let again = try await test.store.replay(leases[0].id)
            _ = try await test.store.enqueue([Self.job(tenant: "third"), Self.job(cache: false)])
            let more = try await claim(test, worker)
            #expect(more.count == 3 && more.contains { $0.id == again })
            for lease in more { _ = try await test.store.complete(lease, Self.done) }

            // Other bytes under the same name.
            try await register(test, digest: String(repeating: "b", count: 64))
            _ = try await test.store.enqueue([Self.job()])
            let anew = try await claim(test, worker)
            #expect(anew.count == 1)
            // A worker that still had those of before in memory: its result stands for no other.
            _ = try await test.store.complete(anew[0], Self.done)
            _ = try await test.store.enqueue([Self.job()])
            #expect(try await claim(test, worker).count == 1)
        }
    }

    @Test(arguments: StoreKind.allCases) func aFollowerLeadsWhenItsLeaderDoesNotSucceed(_ kind: StoreKind) async throws
    {
        try await with(kind) { test in
            let worker = try await test.store.worker()
            let ids = try await test.store.enqueue((0..<5).map { _ in Self.job() })
            let failing = try await claim(test, worker)
            #expect(failing.map(\.id) == [ids[0]])
            #expect(try await states(test, ids) == [.running] + Array(repeating: .scheduled, count: 4))
            #expect(try await test.store.complete(failing[0], .failed(Outcome.unlucky)) == .failed)
            #expect(try await states(test, ids) == [.failed] + Array(repeating: .ready, count: 4))

            let cancelled = try await claim(test, worker)
            #expect(cancelled.map(\.id) == [ids[1]])
            #expect(try await test.store.cancel(ids[4]) == .cancelled)
            #expect(try await test.store.cancel(ids[1]) == .running)
            #expect(try await test.store.complete(cancelled[0], .cancelled(result: nil, usage: nil)) == .cancelled)
            #expect(try await states(test, ids) == [.failed, .cancelled, .ready, .ready, .cancelled])

            // To be tried again: it leads no more.
            let retried = try await claim(test, worker)
            #expect(retried.map(\.id) == [ids[2]])
            #expect(try await test.store.complete(retried[0], .retry(Outcome.unlucky, after: 1000)) == .scheduled)
            #expect(try await states(test, [ids[3]]) == [.scheduled])
            _ = try await test.store.maintain(maximum: 10)
            let leader = try await claim(test, worker)
            #expect(leader.map(\.id) == [ids[3]])
            #expect(try await test.store.complete(leader[0], Self.done) == .succeeded)
            try await test.advance(1100)
            _ = try await test.store.maintain(maximum: 10)
            let last = try await test.store.worker()
            #expect(try await claim(test, last) == [])
            #expect(try await states(test, ids) == [.failed, .cancelled, .succeeded, .succeeded, .cancelled])
        }
    }

    @Test(arguments: StoreKind.allCases) func followersOutliveTheLeadersWorker(_ kind: StoreKind) async throws {
        try await with(kind) { test in
            let victim = try await test.store.worker()
            let ids = try await test.store.enqueue((0..<4).map { _ in Self.job() })
            let stale = try await claim(test, victim)
            #expect(stale.map(\.id) == [ids[0]])
            try await test.advance(60)
            let survivor = try await test.store.worker()
            #expect(try await test.store.maintain(maximum: 10).rescued == 1)
            #expect(try await states(test, ids) == Array(repeating: .ready, count: 4))
            let leases = try await claim(test, survivor)
            #expect(leases.count == 1)
            #expect(try await test.store.complete(stale[0], Self.done) == nil)
            #expect(try await test.store.complete(leases[0], Self.done) == .succeeded)
            #expect(try await states(test, ids) == Array(repeating: .succeeded, count: 4))
            #expect(try await test.store.takeEvents().count == 4)
        }
    }

    /// Many workers claim the same at once, again and again; one job is computed for each question.
    @Test func workersThatClaimTwinsAtOnceComputeOne() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(8)
            let test = StoreUnderTest.postgres(pool)
            try await register(test, digest: Self.digest)
            let store = test.store
            for round in 0..<10 {
                let ids = try await store.enqueue((0..<64).map { Self.job("\(round) \($0 % 2)") })
                let computed = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            let worker = try await store.worker()
                            var computed = 0
                            for _ in 0..<6 {
                                for lease in try await claim(test, worker, 4) {
                                    computed += 1
                                    _ = try await store.complete(lease, Self.done)
                                }
                            }
                            return computed
                        }
                    }
                    return try await group.reduce(0, +)
                }
                #expect(computed == 2)
                #expect(try await states(test, ids).allSatisfy { $0 == .succeeded })
            }
            #expect(try await PostgresJobStore(pool: pool).faults().map(\.description) == [])
            let served = try await pool.query("SELECT served FROM millrace.reuse()")[0].get("served", as: Int.self)
            #expect(served == 10 * 62)
            await pool.close()
        }
    }
}
