// How many jobs run at a time: the same cases for every store, and claims side by side on PostgreSQL.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct LimitTests {
    private static func jobs(
        _ count: Int, queue: String? = nil, tenant: String? = nil, key: String? = nil
    ) -> [NewJob] {
        (0..<count).map { _ in NewJob(kind: .noop, input: [:], queue: queue, tenant: tenant, limitKey: key) }
    }

    @Test(arguments: StoreKind.allCases, RunLimit.Scope.allCases)
    func noMoreThanTheLimitRun(kind: StoreKind, scope: RunLimit.Scope) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let limited = { (count: Int) in
                switch scope {
                case .queue: Self.jobs(count)
                case .tenant: Self.jobs(count, tenant: "default")
                case .key: Self.jobs(count, key: "default")
                }
            }
            try await store.setLimit(RunLimit(scope, "default", running: 2))
            let ids = try await store.enqueue(limited(6))
            let worker = try await store.worker()
            let first = try await store.claim(worker, 9)
            #expect(first.map(\.id) == Array(ids[..<2]))
            #expect(try await store.claim(worker, 9).isEmpty)
            #expect(
                try await store.limits() == [
                    LimitSummary(limit: RunLimit(scope, "default", running: 2), used: 2)
                ])
            // However an attempt ends, its place is free.
            #expect(try await store.complete(first[0], .done) == .succeeded)
            let third = try await store.claim(worker, 9)
            #expect(third.map(\.id) == [ids[2]])
            #expect(try await store.complete(third[0], .retry(Outcome.unlucky, after: 60)) == .scheduled)
            let fourth = try await store.claim(worker, 9)
            #expect(fourth.map(\.id) == [ids[3]])
            #expect(try await store.complete(fourth[0], .released()) == .ready)
            #expect(try await store.cancel(ids[4]) == .cancelled)
            #expect(try await store.claim(worker, 9).count == 1)
            // Of a dead worker too.
            try await world.advance(11)
            #expect(try await store.maintain(maximum: 100).rescued == 2)
            #expect(try await store.limits()[0].used == 0)
            let other = try await store.worker()
            #expect(try await store.claim(other, 9).count == 2)
            // More at once, less at once, none at all.
            try await store.setLimit(RunLimit(scope, "default", running: 3))
            let fifth = try await store.claim(other, 9)
            #expect(fifth.count == 1)
            try await store.setLimit(RunLimit(scope, "default", running: 0))
            #expect(try await store.complete(fifth[0], .done) == .succeeded)
            _ = try await store.enqueue(limited(2))
            #expect(try await store.claim(other, 9).isEmpty)
            #expect(try await store.removeLimit(scope, "default"))
            #expect(try await store.claim(other, 9).count == 2)
            #expect(try await store.removeLimit(scope, "default") == false)
            try await Self.check(store)
        }
    }

    /// Jobs behind those that must wait go before them.
    @Test(arguments: StoreKind.allCases)
    func othersGoBeforeJobsThatWait(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            try await store.setLimit(RunLimit(.tenant, "t", running: 1))
            try await store.setLimit(RunLimit(.key, "k", running: 1))
            let waiting = try await store.enqueue(Self.jobs(40, tenant: "t"))
            let both = try await store.enqueue(Self.jobs(3, tenant: "t", key: "k"))
            let free = try await store.enqueue(Self.jobs(3, key: "k") + Self.jobs(2))
            let worker = try await store.worker()
            let first = try await store.claim(worker, 4)
            #expect(first.map(\.id) == [waiting[0], free[0], free[3], free[4]])
            #expect(try await store.complete(first[1], .done) == .succeeded)
            #expect(try await store.claim(worker, 4).map(\.id) == [free[1]])
            #expect(both.count == 3)
            try await Self.check(store)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func badLimitsAreRefused(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            for limit in [RunLimit(.key, "", running: 1), RunLimit(.key, "k", running: -1)] {
                await #expect(throws: StoreError.self) { try await world.store.setLimit(limit) }
            }
            let error = await #expect(throws: StoreError.self) {
                try await world.store.enqueue(Self.jobs(1, key: ""))
            }
            #expect(error?.description.hasPrefix("limit_key: ") == true)
        }
    }

    /// Workers side by side, limits that change under way, jobs under several limits: never more than allowed, all done at
    /// the end, and no slot is left.
    @Test func claimsSideBySideKeepTheLimits() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(9)
            let store = PostgresJobStore(pool: pool)
            try await store.setLimit(RunLimit(.tenant, "t1", running: 3))
            try await store.setLimit(RunLimit(.key, "k1", running: 2))
            try await store.setLimit(RunLimit(.queue, "narrow", running: 4))
            var jobs: [NewJob] = []
            for number in 0..<600 {
                jobs.append(
                    NewJob(
                        kind: .noop, input: [:], queue: number % 5 == 0 ? "narrow" : "default",
                        tenant: number % 2 == 0 ? "t1" : "t2", limitKey: number % 3 == 0 ? "k\(number % 4)" : nil))
            }
            _ = try await store.enqueue(jobs)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<6 {
                    group.addTask { try await Self.work(store, pool, number) }
                }
                try await group.waitForAll()
            }
            #expect(try await store.limits().map(\.used) == [0, 0, 0])
            let left = try await pool.query("SELECT count(*) AS n FROM millrace.jobs WHERE state <> 'succeeded'")
            #expect(try left[0].get("n", as: Int.self) == 0)
            try await Self.check(store)
            await pool.close()
        }
    }

    private static func work(_ store: PostgresJobStore, _ pool: PostgresPool, _ number: Int) async throws {
        let worker = try await store.worker("w\(number)")
        let request = ClaimRequest(
            worker: worker, queues: ["default", "narrow"], kinds: [.noop], models: [], maximum: 3 + number)
        var idle = 0
        while true {
            _ = try await store.beat(worker, isDraining: false)
            let leases = try await store.claim(request)
            let over = try await pool.query(Self.overfull)
            #expect(over.count == 0, "more run than the limit allows")
            if leases.isEmpty {
                _ = try await store.maintain(maximum: 100)
                let open = try await pool.query("SELECT count(*) AS n FROM millrace.ready")
                if try open[0].get("n", as: Int.self) == 0 { return }
                idle += 1
                guard idle < 5000 else { throw Timeout(description: "jobs are left that nobody gets") }
                continue
            }
            idle = 0
            for lease in leases {
                #expect(
                    try await store.complete(
                        lease, lease.attempt == 1 && lease.id % 7 == 0 ? .retry(Outcome.unlucky, after: 0) : .done)
                        != nil)
            }
        }
    }

    private static let overfull: SQL = """
        SELECT l.scope, l.name FROM millrace.limits l
        WHERE l.running < (SELECT count(*) FROM millrace.leases e JOIN millrace.jobs j ON j.id = e.job_id
            WHERE l.name = CASE l.scope WHEN 'queue' THEN j.queue WHEN 'tenant' THEN j.tenant ELSE j.limit_key END)
        """

    private static func check(_ store: any JobStore) async throws {
        guard let store = store as? PostgresJobStore else { return }
        let faults = try await store.faults()
        #expect(faults.isEmpty, "\(faults)")
    }
}
