// Servers and workers that are away for a while, for real: what runs goes on, and what was to be told is told
// afterwards, once.
import Foundation
import Glibc
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

/// Apart from `EndToEndTests`: these tests wait more than they compute, so they run beside others.
@Suite struct OutageTests {
    /// Jobs run before, during and after a whole minute without Redis.
    @Test(.timeLimit(.minutes(5))) func everyEventArrivesAfterAMinuteWithoutRedis() async throws {
        try await Fleet.with { fleet in
            let worker = try fleet.startWorker()
            let before = try await fleet.insert(20, tokens: 4)
            try await fleet.waitForAll(before, within: 60)
            try await fleet.waitForEvents(before)

            // Long jobs are under way when Redis goes.
            let across = try await fleet.insert(4, tokens: 100)
            try await fleet.waitForRunningJobs(4, of: worker.id)
            await fleet.redis.stop()
            let start = ContinuousClock.now
            var during: ClosedRange<JobID>?
            while start.duration(to: .now) < .seconds(60) {
                let ids = try await fleet.insert(4, tokens: 4)
                try await fleet.waitForAll(ids, within: 30)
                during = (during ?? ids).lowerBound...ids.upperBound
                try await Task.sleep(for: .seconds(3))
            }
            let unheard = across.lowerBound...during!.upperBound
            #expect(unheard.count >= 24)
            try await fleet.waitForAll(unheard, within: 30)
            #expect(fleet.events.events.count == 20)

            // The subscriber is there before the workers find Redis, so whatever they publish is heard.
            try await fleet.redis.start { socket in try await fleet.events.listen(socket: socket) }
            let after = try await fleet.insert(20, tokens: 4)
            try await fleet.waitForAll(after, within: 60)
            let all = before.lowerBound...after.upperBound
            try await fleet.waitForEvents(all, within: 30)

            let jobs = try await fleet.jobs(all)
            #expect(jobs.count == all.count)
            #expect(jobs.allSatisfy { $0.state == .succeeded && $0.attempt == 1 })
            #expect(fleet.events.events(about: all).map { $0["result"] } == jobs.map(\.result))
            let late = unheard.lowerBound...after.upperBound
            #expect(try await fleet.keptResults(late) == late.count)
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    /// A worker that was taken for dead and comes back changes nothing any more, and takes jobs again.
    @Test(.timeLimit(.minutes(5))) func aWorkerThatComesBackFromTheDeadIsHeardNoMore() async throws {
        try await Fleet.with { fleet in
            let sleeper = try fleet.startWorker()
            let ids = try await fleet.insert(16, tokens: 200)
            try await fleet.waitForRunningJobs(16, of: sleeper.id)
            sleeper.signal(SIGSTOP)
            let other = try fleet.startWorker()
            try await fleet.waitForAll(ids, within: 90)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.allSatisfy { $0.state == .succeeded && $0.attempt == 2 })
            let dead = try await fleet.store.workers().map(\.id)

            sleeper.signal(SIGCONT)
            try await eventually(within: 60, "the worker starts over under a new id") {
                try await fleet.store.workers().contains { $0.processID == sleeper.id && !dead.contains($0.id) }
            }
            other.signal(SIGTERM)
            #expect(await other.wait() == 0)
            let again = try await fleet.insert(16, tokens: 200)
            try await fleet.waitForAll(again, within: 90)
            #expect(try await fleet.jobs(again).map(\.result) == jobs.map(\.result))
            try await fleet.waitForEvents(again)
            #expect(fleet.events.attempts(ids) == jobs.map(\.attempt))
            #expect(fleet.events.events(about: ids).map { $0["result"] } == jobs.map(\.result))
            #expect(fleet.events.events.count == 32)
            sleeper.signal(SIGTERM)
            #expect(await sleeper.wait() == 0)
        }
    }

    /// The network forgets every connection of the worker and freezes, in the middle of a batch.
    @Test(.timeLimit(.minutes(5))) func jobsOutliveANetworkThatForgets() async throws {
        try await Fleet.with { fleet in
            let proxy = try TestProxy(to: fleet.database.url)
            defer { proxy.close() }
            let worker = try TestProcess(
                "inference-worker", ["--threads", "1"],
                environment: ["DATABASE_URL": proxy.url(for: fleet.database.url), "REDIS_URL": fleet.redis.url])
            let ids = try await fleet.insert(32, tokens: 150)
            try await fleet.waitForRunningJobs(16, of: worker.id)
            proxy.freeze()
            proxy.loseConnections()
            // Longer than a worker may be silent.
            try await Task.sleep(for: .seconds(12))
            proxy.thaw()
            try await fleet.waitForAll(ids, within: 120)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.allSatisfy { $0.state == .succeeded && $0.attempt <= 2 })
            try await fleet.waitForEvents(ids, within: 60)
            #expect(fleet.events.attempts(ids) == jobs.map(\.attempt))

            let again = try await fleet.insert(32, tokens: 150)
            try await fleet.waitForAll(again, within: 120)
            #expect(try await fleet.jobs(again).map(\.result) == jobs.map(\.result))
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    /// A publisher that vanishes between taking events and deleting them, without a word to the database.
    @Test(.timeLimit(.minutes(5))) func eventsOfAVanishedPublisherArePublishedByAnother() async throws {
        try await TestDatabase.with { database async throws in
            let proxy = try TestProxy(to: database.url)
            defer { proxy.close() }
            let pool = database.pool()
            let store = PostgresJobStore(pool: pool)
            _ = try await store.enqueue([NewJob(kind: .noop, input: [:])])
            let id = try await store.list(limit: 1)[0].id
            #expect(try await store.cancel(id) == .cancelled)

            let distant = PostgresPool(
                try PostgresConfiguration(url: proxy.url(for: database.url)).timeouts(answer: 1), size: 1,
                logger: LogRecords().logger)
            await #expect(throws: PostgresError.self) {
                try await PostgresJobStore(pool: distant).relayEvents(maximum: 10) { _ in proxy.loseConnections() }
            }
            let heard = EventCount()
            try await eventually(within: 60, "another publisher gets the event") {
                try await store.relayEvents(maximum: 10) { await heard.add($0.count) } == 1
            }
            #expect(await heard.count == 1)
            await distant.close()
            await pool.close()
        }
    }
}

private actor EventCount {
    private(set) var count = 0
    func add(_ more: Int) { count += more }
}
