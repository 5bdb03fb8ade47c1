// Jobs that wait for others: the same cases for every store, and ends side by side on PostgreSQL.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct DependencyTests {
    private static func job(after needs: [JobID], _ policy: DependencyFailurePolicy? = nil, delay: Double? = nil)
        -> NewJob
    {
        NewJob(kind: .noop, input: [:], delay: delay, dependsOn: needs, onDependencyFailure: policy)
    }

    @Test(arguments: StoreKind.allCases) func aJobWaitsForAllThatItDependsOn(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let first = try await store.enqueue([NewJob(kind: .noop, input: [:]), NewJob(kind: .noop, input: [:])])
            let last = try await store.enqueue([
                Self.job(after: first), Self.job(after: [first[0], first[0]], delay: 3600), Self.job(after: []),
            ])
            #expect(try await store.states(of: last) == [last[0]: .blocked, last[1]: .blocked, last[2]: .ready])
            let worker = try await store.worker()
            let leases = try await store.claim(worker, 9)
            #expect(leases.map(\.id) == first + [last[2]])
            #expect(try await store.complete(leases[0], .done) == .succeeded)
            #expect(try await store.states(of: last)[last[0]] == .blocked)
            // What waits for a time goes on waiting for it.
            #expect(try await store.states(of: last)[last[1]] == .scheduled)
            #expect(try await store.complete(leases[1], .done) == .succeeded)
            #expect(try await store.claim(worker, 9).map(\.id) == [last[0]])
            // What has ended before is not waited for.
            #expect(
                try await store.states(of: [try await store.enqueueOne(Self.job(after: first))]).values.first == .ready)
            try await Self.check(store)
        }
    }

    @Test(arguments: StoreKind.allCases) func whatFollowsFailureIsTheDependantsChoice(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let bad = try await store.enqueueOne()
            let ids = try await store.enqueue([
                Self.job(after: [bad]), Self.job(after: [bad], .cancel), Self.job(after: [bad], .run),
            ])
            // Those behind them, generation by generation.
            let second = try await store.enqueue([Self.job(after: [ids[0]]), Self.job(after: [ids[0], ids[2]], .run)])
            let third = try await store.enqueueOne(Self.job(after: [second[0]]))
            let worker = try await store.worker()
            let lease = try await store.claim(worker, 9)[0]
            #expect(try await store.complete(lease, .failed(Outcome.unlucky)) == .failed)
            #expect(try await store.states(of: ids)[ids[2]] == .ready)
            _ = try await store.maintain(maximum: 100)
            #expect(
                try await store.states(of: ids + second + [third]) == [
                    ids[0]: .failed, ids[1]: .cancelled, ids[2]: .ready, second[0]: .failed, second[1]: .blocked,
                    third: .failed,
                ])
            #expect(
                try await store.job(third).error == [
                    "code": "dependency_failed",
                    "message": .string("job \(second[0]), which this one depends on, is failed"),
                ])
            #expect(try await store.takeEvents().map(\.id) == [bad, ids[0], ids[1], second[0], third])
            // A new one that depends on a failed one, too.
            let late = try await store.enqueueOne(Self.job(after: [third]))
            _ = try await store.maintain(maximum: 100)
            #expect(try await store.job(late).state == .failed)
            let rest = try await store.claim(worker, 9)
            #expect(rest.map(\.id) == [ids[2]])
            #expect(try await store.complete(rest[0], .done) == .succeeded)
            #expect(try await store.job(second[1]).state == .ready)
            try await Self.check(store)
        }
    }

    @Test(arguments: StoreKind.allCases) func blockedJobsAreCancelledAndExpire(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let first = try await store.enqueueOne()
            let cancelled = try await store.enqueueOne(Self.job(after: [first]))
            var job = Self.job(after: [first])
            job.timeToStart = 60
            let late = try await store.enqueueOne(job)
            #expect(try await store.cancel(cancelled) == .cancelled)
            try await world.advance(61)
            #expect(try await store.maintain(maximum: 100).expired == 1)
            #expect(try await store.job(late).state == .expired)
            try await Self.check(store)
            // A cancelled job that is tried again waits for nothing.
            #expect(try await store.retry(cancelled) == .ready)
            #expect(
                try await store.complete(try await store.claim(try await store.worker(), 9)[0], .done) == .succeeded)
            try await Self.check(store)
        }
    }

    @Test(arguments: StoreKind.allCases) func refusesWhatCannotBe(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne()
            for needs in [[id + 1000], [-1], Array(repeating: id, count: 1001)] {
                let error = await #expect(throws: StoreError.self) {
                    _ = try await store.enqueue([NewJob(kind: .noop, input: [:]), Self.job(after: needs)])
                }
                #expect(error.map { Fault($0) } == .refused(field: "depends_on"))
            }
            #expect(try await store.claim(try await store.worker(), 9).map(\.id) == [id])
        }
    }

    /// Fan-in of jobs that end at the same time on several connections, some of them while the one that waits is inserted.
    @Test func endsSideBySideReleaseExactlyOnce() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(8)
            let store = PostgresJobStore(pool: pool)
            let worker = try await store.worker()
            for _ in 0..<30 {
                let needs = try await store.enqueue((0..<8).map { _ in NewJob(kind: .noop, input: [:]) })
                let early = try await store.enqueueOne(Self.job(after: needs))
                let leases = try await store.claim(worker, 8)
                #expect(leases.count == 8)
                let late = try await withThrowingTaskGroup(of: JobID?.self) { group in
                    for lease in leases {
                        group.addTask {
                            _ = try await store.complete(lease, .done)
                            return nil
                        }
                    }
                    group.addTask { try await store.enqueueOne(Self.job(after: needs)) }
                    return try await group.reduce(nil) { $0 ?? $1 }!
                }
                #expect(try await store.job(early).state == .ready)
                _ = try await store.maintain(maximum: 100)
                #expect(try await store.job(late).state == .ready)
                #expect(try await store.faults().map(\.description) == [])
                for lease in try await store.claim(worker, 9) { _ = try await store.complete(lease, .done) }
            }
            await pool.close()
        }
    }

    /// More generations than a tick takes, and more dependants than one end releases.
    @Test func longChainsAndWideFansEnd() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            let store = PostgresJobStore(pool: pool)
            let root = try await store.enqueueOne()
            var last = root
            for _ in 0..<150 { last = try await store.enqueueOne(Self.job(after: [last])) }
            let fan = try await store.enqueue((0..<2500).map { _ in Self.job(after: [root]) })
            let lease = try await store.claim(try await store.worker(), 1)[0]
            #expect(try await store.complete(lease, .failed(Outcome.unlucky)) == .failed)
            for _ in 0..<5 { _ = try await store.maintain(maximum: 100) }
            #expect(try await store.states(of: fan + [last]).values.allSatisfy { $0 == .failed })
            #expect(try await store.faults().map(\.description) == [])
            await pool.close()
        }
    }

    @Test func dependingOnWhatOneMayNotSeeIsRefused() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            let foreign = try await PostgresJobStore(pool: pool).enqueueOne()
            let connection = try await PostgresConnection.connect(database.configuration)
            let role = "client_" + database.name
            try await connection.script(
                SQL(trusted: "CREATE ROLE \(role); GRANT millrace_client TO \(role); SET SESSION AUTHORIZATION \(role)")
            )
            var message = ""
            do throws(PostgresError) {
                _ = try await connection.query(
                    "INSERT INTO millrace.jobs (kind, input, depends_on) VALUES ('noop', '{}', ARRAY[$1::bigint])",
                    [foreign])
            } catch {
                message = error.message
            }
            #expect(message == "depends_on: there is no job \(foreign) before this one")
            _ = try await connection.query(
                "WITH own AS (INSERT INTO millrace.jobs (kind, input) VALUES ('noop', '{}') RETURNING id) SELECT id FROM own"
            )
            try await connection.script("RESET SESSION AUTHORIZATION")
            try await connection.script(SQL(trusted: "DROP OWNED BY \(role); DROP ROLE \(role)"))
            await connection.close()
            await pool.close()
        }
    }

    private static func check(_ store: any JobStore) async throws {
        guard let store = store as? PostgresJobStore else { return }
        #expect(try await store.faults().map(\.description) == [])
    }
}
