// The whole of Millrace on real parts: plain SQL in, answers and events out, with processes that are killed.
import Foundation
import Glibc
import JSON
import JobModel
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct EndToEndTests {
    @Test func fiveHundredJobsOnTwoWorkersEqualOneWorker() async throws {
        try await Fleet.with { fleet in
            let workers = [try fleet.startWorker(), try fleet.startWorker()]
            let first = try await fleet.insert(500, tokens: 8)
            try await fleet.waitForAll(first, within: 240)
            let jobs = try await fleet.jobs(first)
            #expect(jobs.count == 500)
            #expect(jobs.allSatisfy { $0.state == .succeeded && $0.attempt == 1 })
            try await eventually(within: 10, "an event for each job") { fleet.events.ids.count == 500 }
            #expect(fleet.events.all.count == 500)
            #expect(
                fleet.events.all.allSatisfy { $0["state"]?.stringValue == "succeeded" && $0["seq"]?.intValue != nil })
            for worker in workers { worker.signal(SIGTERM) }
            for worker in workers { #expect(await worker.wait() == 0) }
            #expect(try await fleet.store.workers().isEmpty)

            let alone = try fleet.startWorker()
            let second = try await fleet.insert(500, tokens: 8)
            try await fleet.waitForAll(second, within: 240)
            #expect(try await fleet.jobs(second).map(\.result) == jobs.map(\.result))
            alone.signal(SIGTERM)
            #expect(await alone.wait() == 0)
        }
    }

    @Test func killedWorkersJobsEndElsewhereWithTheSameAnswers() async throws {
        try await Fleet.with { fleet in
            let survivor = try fleet.startWorker()
            let expected = try await fleet.insert(64, tokens: 40)
            try await fleet.waitForAll(expected, within: 120)
            let answers = try await fleet.jobs(expected).map(\.result)

            let victim = try fleet.startWorker()
            try await fleet.waitForWorkers(2)
            let ids = try await fleet.insert(64, tokens: 40)
            try await fleet.waitForRunningJobs(8, of: victim.id)
            await victim.kill()
            try await fleet.waitForAll(ids, within: 45)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.allSatisfy { $0.state == .succeeded })
            #expect(jobs.contains { $0.attempt == 2 })
            #expect(jobs.map(\.result) == answers)
            try await eventually(within: 10, "an event for each job") { fleet.events.ids.count == 128 }
            #expect(fleet.events.all.count == 128)
            #expect(fleet.events.attempts(ids) == jobs.map(\.attempt))
            survivor.signal(SIGTERM)
            #expect(await survivor.wait() == 0)
        }
    }

    @Test func drainHandsBackWithTheAttemptRefunded() async throws {
        try await Fleet.with { fleet in
            let profile = NSTemporaryDirectory() + "millrace-profile-\(UUID().uuidString.prefix(8)).json"
            try Data(#"{"name": "impatient", "drain_seconds": 0}"#.utf8).write(to: URL(fileURLWithPath: profile))
            defer { try? FileManager.default.removeItem(atPath: profile) }
            let worker = try TestProcess(
                "inference-worker", ["--threads", "1", "--profile", profile], environment: fleet.environment)
            let ids = try await fleet.insert(8, tokens: 400)
            try await eventually(within: 60, "tokens are stored") {
                try await fleet.store.progress(of: ids.lowerBound) != nil
            }
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
            let handedBack = try await fleet.jobs(ids)
            let unfinished = handedBack.filter { !$0.state.isFinal }
            #expect(!unfinished.isEmpty)
            #expect(unfinished.allSatisfy { $0.state == .ready && $0.attempt == 0 })

            let next = try fleet.startWorker()
            try await fleet.waitForAll(ids, within: 120)
            let resumed = try await fleet.jobs(ids)
            #expect(resumed.allSatisfy { $0.state == .succeeded && $0.attempt == 1 })
            let again = try await fleet.insert(8, tokens: 400)
            try await fleet.waitForAll(again, within: 120)
            #expect(try await fleet.jobs(again).map(\.result) == resumed.map(\.result))
            next.signal(SIGTERM)
            #expect(await next.wait() == 0)
        }
    }

    @Test func eventsSurviveAnAbsentRedis() async throws {
        try await Fleet.with { fleet in
            let worker = try fleet.startWorker()
            await fleet.redis.stop()
            let ids = try await fleet.insert(20, tokens: 4)
            try await fleet.waitForAll(ids, within: 60)
            #expect(try await fleet.jobs(ids).allSatisfy { $0.state == .succeeded && $0.attempt == 1 })
            #expect(fleet.events.all.isEmpty)
            try await fleet.redis.start()
            // Redis keeps nothing for a subscriber that comes later than an event, but it keeps the result.
            let connection = try await fleet.resultKeys(ids)
            #expect(connection == 20)
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    @Test func badJobsFailAloneAndBadInsertsAreRefused() async throws {
        try await Fleet.with { fleet in
            let worker = try fleet.startWorker()
            let words = String(repeating: "word ", count: 9000)
            let rows = try await fleet.pool.query(
                """
                INSERT INTO millrace.jobs (kind, model, input) VALUES
                    ('generate', 'smollm2-135m-instruct', '{"prompt": "One, two,", "max_tokens": 4, "raw": true}'),
                    ('generate', 'smollm2-135m-instruct', jsonb_build_object('prompt', $1::text)),
                    ('generate', 'smollm2-135m-instruct', '{"prompt": "Three, four,", "max_tokens": 4, "raw": true}')
                RETURNING id
                """, [words])
            let ids = try rows.map { try $0.get("id", as: JobID.self) }
            try await fleet.waitForAll(ids.min()!...ids.max()!, within: 60)
            let jobs = try await fleet.jobs(ids.min()!...ids.max()!)
            #expect(jobs.map(\.state) == [.succeeded, .failed, .succeeded])
            #expect(jobs[1].attempt == 1)
            #expect(jobs[1].error?["field"]?.stringValue == "input.prompt")
            #expect(jobs[1].error?["message"]?.stringValue?.contains("context of 8192") == true)
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }
}
