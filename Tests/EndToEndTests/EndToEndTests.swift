// The whole of Millrace on real parts: plain SQL in, answers and events out, with processes that are killed.
import Foundation
import Glibc
import JSON
import JobModel
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(15))) struct EndToEndTests {
    @Test func fiveHundredJobsOnTwoWorkersEqualOneWorker() async throws {
        try await Fleet.with { fleet in
            let workers = [try fleet.startWorker(), try fleet.startWorker()]
            try await fleet.waitForWorkers(2)
            let first = try await fleet.insert(500, tokens: 8)
            for worker in workers { try await fleet.waitForRunningJobs(1, of: worker.id) }
            try await fleet.waitForAll(first, within: 240)
            let jobs = try await fleet.jobs(first)
            #expect(jobs.count == 500)
            #expect(jobs.allSatisfy { $0.state == .succeeded && $0.attempt == 1 })
            try await fleet.waitForEvents(first)
            let events = fleet.events.events
            #expect(events.count == 500)
            #expect(events.allSatisfy { $0["state"]?.stringValue == "succeeded" && $0["attempt"]?.intValue == 1 })
            #expect(Set(events.compactMap { $0["seq"]?.intValue }).count == 500)
            #expect(fleet.events.events(about: first).map { $0["result"] } == jobs.map(\.result))
            // The pattern hears each event twice: on the channel of all jobs and on the job's own.
            let own = fleet.events.messages.filter { $0.channel.hasPrefix("millrace:job:") }
            #expect(Set(own.map(\.channel)) == Set(first.map { JobEvent.channel(of: $0) }) && own.count == 500)
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
            let killed = try await fleet.now()
            await victim.kill()
            try await fleet.waitForAll(ids, within: 60)
            // By the database's clock: what counts is when the jobs ended, not when this test looked.
            #expect(try await fleet.end(of: ids) - killed <= 30)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.allSatisfy { $0.state == .succeeded })
            #expect(jobs.contains { $0.attempt == 2 })
            let (rescued, again) = try await fleet.rescue(of: ids)
            print(
                String(
                    format: "kill -9: all in line again after %.1f s, the first claimed after %.1f s", rescued - killed,
                    again - killed))
            #expect(rescued - killed <= 15 && again - killed <= 15)
            #expect(jobs.map(\.result) == answers)
            try await fleet.waitForEvents(ids)
            // One event for each job, and it is the accepted attempt's.
            #expect(fleet.events.attempts(ids) == jobs.map(\.attempt))
            #expect(fleet.events.events(about: ids).map { $0["result"] } == answers)
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
