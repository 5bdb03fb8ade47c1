// How fast jobs begin: the same cases for every store, and claims side by side on PostgreSQL.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

/// Rates are so slow that the time of the test itself adds nothing.
@Suite(.timeLimit(.minutes(3))) struct RateTests {
    private static let slow = 0.0001

    private static func jobs(_ count: Int, queue: String? = nil, tenant: String? = nil, key: String? = nil) -> [NewJob]
    {
        (0..<count).map { _ in NewJob(kind: .noop, input: [:], queue: queue, tenant: tenant, limitKey: key) }
    }

    private static func level(_ store: any JobStore) async throws -> Double {
        try await store.rates()[0].level.rounded(.down)
    }

    @Test(arguments: StoreKind.allCases, RunLimit.Scope.allCases)
    func noMoreJobsBeginThanTheBucketHolds(kind: StoreKind, scope: RunLimit.Scope) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let jobs =
                switch scope {
                case .queue: Self.jobs(7)
                case .tenant: Self.jobs(7, tenant: "default")
                case .key: Self.jobs(7, key: "default")
                }
            try await store.setRate(JobRate(scope, "default", .jobs, perSecond: Self.slow, burst: 2))
            let ids = try await store.enqueue(jobs)
            var worker = try await store.worker()
            let first = try await store.claim(worker, 9)
            #expect(first.map(\.id) == Array(ids[..<2]))
            #expect(try await store.claim(worker, 9).isEmpty)
            // What ran cost one; what was handed back, nothing.
            #expect(try await store.complete(first[0], .done) == .succeeded)
            #expect(try await Self.level(store) == 0)
            #expect(try await store.complete(first[1], .released()) == .ready)
            #expect(try await Self.level(store) == 1)
            // Its reservation went with the attempt: the end of it again gives nothing.
            #expect(try await store.complete(first[1], .released()) == nil)
            #expect(try await Self.level(store) == 1)
            let again = try await store.claim(worker, 9)
            #expect(again.map(\.id) == [ids[1]])
            #expect(try await store.complete(again[0], .retry(Outcome.unlucky, after: 1e6)) == .scheduled)
            #expect(try await Self.level(store) == 0)

            try await world.advance(1.01 / Self.slow)
            worker = try await store.worker()
            _ = try await store.maintain(maximum: 100)
            let later = try await store.claim(worker, 9)
            #expect(later.map(\.id) == [ids[2]])
            #expect(try await store.claim(worker, 9).isEmpty)
            // A dead worker's attempt costs nothing; the bucket never holds more than its burst.
            try await world.advance(11)
            #expect(try await store.maintain(maximum: 100).rescued == 1)
            #expect(try await Self.level(store) == 1)
            try await world.advance(9 / Self.slow)
            worker = try await store.worker()
            _ = try await store.maintain(maximum: 100)
            #expect(try await Self.level(store) == 2)
            #expect(try await store.claim(worker, 9).count == 2)
            #expect(try await store.removeRate(scope, "default", .jobs))
            #expect(try await store.claim(worker, 9).count == 3)
            #expect(try await store.removeRate(scope, "default", .jobs) == false)
            try await Self.check(store)
        }
    }

    /// An estimate is taken when a job begins, and what it used is settled when it ends.
    @Test(arguments: StoreKind.allCases)
    func tokensAreSettledAsUsed(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            try await store.register(
                RegisteredModel(
                    name: "m", digest: String(repeating: "a", count: 64), architecture: "llama", contextLength: 100,
                    uri: "/m", bytes: 1))
            try await store.setRate(JobRate(.tenant, "t", .tokens, perSecond: Self.slow, burst: 100))
            let job = { (tokens: Int64) in
                NewJob(
                    kind: .generate, model: "m", input: ["prompt": "x", "max_tokens": .integer(tokens)], tenant: "t")
            }
            let ids = try await store.enqueue([job(60), job(60), job(500)])
            let other = try await store.enqueueOne(
                NewJob(kind: .generate, model: "m", input: ["prompt": "x"], tenant: "u"))
            var worker = try await store.worker()
            func claim() async throws -> [Lease] {
                try await store.claim(
                    ClaimRequest(worker: worker, queues: ["default"], kinds: [.generate], models: ["m"], maximum: 9))
            }
            let first = try await claim()
            #expect(first.map(\.id) == [ids[0], other], "others go before those that wait")
            #expect((25...40).contains(try await Self.level(store)))
            let used = { (tokens: Int64) in Outcome.succeeded(result: [:], usage: ["total_tokens": .integer(tokens)]) }
            #expect(try await store.complete(first[0], used(3)) == .succeeded)
            #expect(try await store.complete(first[1], used(3)) == .succeeded)
            #expect(try await Self.level(store) == 97)
            _ = try await store.maintain(maximum: 100)
            let second = try await claim()
            #expect(second.map(\.id) == [ids[1]])
            // More than estimated.
            #expect(try await store.complete(second[0], used(200)) == .succeeded)
            #expect(try await Self.level(store) == -103)
            _ = try await store.maintain(maximum: 100)
            #expect(try await claim().isEmpty)
            // Larger than the bucket: it goes when this is full.
            try await world.advance(150 / Self.slow)
            worker = try await store.worker()
            _ = try await store.maintain(maximum: 100)
            #expect(try await claim().isEmpty)
            try await world.advance(60 / Self.slow)
            worker = try await store.worker()
            _ = try await store.maintain(maximum: 100)
            let third = try await claim()
            #expect(third.map(\.id) == [ids[2]])
            #expect(try await Self.level(store) < -400)
            #expect(try await store.complete(third[0], used(40)) == .succeeded)
            #expect((58...60).contains(try await Self.level(store)))
            try await Self.check(store)
        }
    }

    /// A job that a limit keeps takes nothing.
    @Test(arguments: StoreKind.allCases)
    func limitsAndRatesHoldTogether(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            try await store.setLimit(RunLimit(.key, "k", running: 1))
            try await store.setRate(JobRate(.tenant, "t", .jobs, perSecond: Self.slow, burst: 3))
            let ids = try await store.enqueue(Self.jobs(3, tenant: "t", key: "k") + Self.jobs(4, tenant: "t"))
            let worker = try await store.worker()
            var begun: [JobID] = []
            for _ in 0..<3 {
                begun += try await store.claim(worker, 9).map(\.id)
                _ = try await store.maintain(maximum: 100)
            }
            #expect(begun == [ids[0], ids[3], ids[4]])
            #expect(try await Self.level(store) == 0)
            try await Self.check(store)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func badRatesAreRefused(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let bad: [(String, Double, Double)] = [("", 1, 1), ("t", 0, 1), ("t", 1, 0.5), ("t", .nan, 1)]
            for (name, perSecond, burst) in bad {
                await #expect(throws: StoreError.self) {
                    try await world.store.setRate(JobRate(.tenant, name, .jobs, perSecond: perSecond, burst: burst))
                }
            }
            #expect(try await world.store.rates().isEmpty)
        }
    }

    /// Workers side by side that hand some jobs back: as many attempts count as the buckets hold, and not one more or less.
    @Test func claimsSideBySideKeepTheRates() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(7)
            let store = PostgresJobStore(pool: pool)
            try await store.setRate(JobRate(.tenant, "t", .jobs, perSecond: Self.slow, burst: 50))
            try await store.setRate(JobRate(.key, "k", .jobs, perSecond: Self.slow, burst: 20))
            _ = try await store.enqueue(Self.jobs(150, tenant: "t", key: "k") + Self.jobs(150, tenant: "t"))
            let done = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<5 {
                    group.addTask {
                        let worker = try await store.worker("w\(number)")
                        var (done, idle) = (0, 0)
                        while idle < 20 {
                            _ = try await store.beat(worker, isDraining: false)
                            let leases = try await store.claim(worker, 2 + number)
                            idle = leases.isEmpty ? idle + 1 : 0
                            for lease in leases {
                                let isBack = (lease.id + lease.runToken) % 3 == 0
                                #expect(try await store.complete(lease, isBack ? .released() : .done) != nil)
                                done += isBack ? 0 : 1
                            }
                            _ = try await store.maintain(maximum: 100)
                        }
                        return done
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(done == 50)
            #expect(try await store.rates().map { $0.level.rounded(.down) }.contains { $0 < 0 } == false)
            try await Self.check(store)
            await pool.close()
        }
    }

    private static func check(_ store: any JobStore) async throws {
        guard let store = store as? PostgresJobStore else { return }
        let faults = try await store.faults()
        #expect(faults.isEmpty, "\(faults)")
    }
}
