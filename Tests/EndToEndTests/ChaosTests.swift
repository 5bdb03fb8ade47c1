// The promise under attack: whatever breaks, no job is lost, no result is accepted twice, no byte of an answer changes, the
// tables agree, and work is as quick as before. scripts/chaos runs it longer, and again with a given seed.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite struct ChaosTests {
    private static let model = "smollm2-135m-instruct"
    /// Different jobs; the same one gives the same answer.
    private static let variety = 40

    private static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

    @Test(.timeLimit(.minutes(90))) func whateverBreaksNothingIsLostOrDoubled() async throws {
        let seed = Self.variable("MILLRACE_CHAOS_SEED").flatMap(UInt64.init) ?? .random(in: 0..<1_000_000)
        let seconds = Self.variable("MILLRACE_CHAOS_SECONDS").flatMap(Double.init) ?? 40
        print("chaos: seed \(seed), \(seconds) s; to replay: scripts/chaos --seed \(seed) --seconds \(Int(seconds))")
        try await ChaosStack.with { stack in
            try await stack.prepare(model: Self.model)
            let chaos = Chaos(stack, seed: seed)
            do { try await attack(stack, chaos, seconds: seconds) } catch {
                await chaos.kill()
                throw error
            }
            await chaos.dismiss()
        }
    }

    private func attack(_ stack: ChaosStack, _ chaos: Chaos, seconds: Double) async throws {
        try await chaos.hire(3)
        // Once to warm up; once for the answers and the speed.
        try await work(stack, count: Self.variety)
        let before = try await rate(stack)
        let answers = try await results(stack)

        let clients = Task { try await submit(stack) }
        do { try await chaos.run(seconds: seconds) } catch {
            clients.cancel()
            throw error
        }
        clients.cancel()
        let submitted = try await clients.value
        let log = await chaos.log
        print("chaos: \(log.count) mishaps, \(submitted) jobs\n\(log.joined(separator: "\n"))")
        try await eventually(within: 240, "all jobs end after the chaos") { try await self.unfinished(stack) == 0 }
        try await check(stack, answers)
        let after = try await rate(stack)
        print(String(format: "chaos: %.1f jobs/s before, %.1f after: %.0f %%", before, after, 100 * after / before))
        // A loose bound: the figure is the measurement, and a short one.
        #expect(after > 0.5 * before)
    }

    private func check(_ stack: ChaosStack, _ answers: [Int: JSONValue]) async throws {
        let jobs = try await stack.store.list(limit: 1_000_000)
        #expect(jobs.count > 2 * Self.variety)
        for job in jobs {
            let number = try #require(job.metadata["number"]?.intValue)
            guard job.state == .succeeded, let result = job.result, result == answers[number] else {
                Issue.record(
                    "job \(job.id), attempt \(job.attempt): \(job.state), \(job.error?.text() ?? ""), \(job.result?.text() ?? "")"
                )
                continue
            }
        }
        // Every job ended once.
        let twice = try await stack.pool.query(
            "SELECT job_id FROM public.ends GROUP BY job_id HAVING count(*) <> 1")
        #expect(twice.isEmpty)
        let ended = try await stack.pool.query("SELECT count(*) AS count FROM public.ends")
        #expect(try ended[0].get("count", as: Int.self) == jobs.count)
        #expect(try await stack.store.faults().map(\.description) == [])
        try await eventually(within: 60, "every event is published") {
            try await stack.pool.query("SELECT count(*) AS count FROM millrace.outbox")[0].get("count", as: Int.self)
                == 0
        }
    }

    // MARK: Work

    private func insert(_ stack: ChaosStack, count: Int) async throws {
        let rows = (0..<count).map { place in
            let number = place % Self.variety
            return """
                ('generate', '\(Self.model)', '{"prompt": "Number \(number) is", "raw": true, "max_tokens": 40, \
                "temperature": \(number % 2 == 0 ? "0" : "0.8"), "seed": \(number)}', 1000, '{"number": \(number)}', false)
                """
        }
        _ = try await stack.pool.query(
            SQL(
                trusted: "INSERT INTO millrace.jobs (kind, model, input, max_worker_deaths, metadata, cache) VALUES "
                    + rows.joined(separator: ", ")))
    }

    private func unfinished(_ stack: ChaosStack) async throws -> Int {
        let rows = try? await stack.pool.query(
            "SELECT count(*) AS count FROM millrace.jobs WHERE finished_at IS NULL")
        return try rows?[0].get("count") ?? .max
    }

    private func work(_ stack: ChaosStack, count: Int) async throws {
        try await insert(stack, count: count)
        try await eventually(within: 300, "the calm jobs end") { try await self.unfinished(stack) == 0 }
    }

    /// Jobs a second, by the database's clock: the middle one of three measurements of 160 jobs.
    private func rate(_ stack: ChaosStack) async throws -> Double {
        var rates: [Double] = []
        for _ in 0..<3 {
            try await work(stack, count: 160)
            let rows = try await stack.pool.query(
                """
                SELECT extract(epoch FROM max(finished_at) - min(created_at))::float8 AS seconds
                FROM (SELECT finished_at, created_at FROM millrace.jobs ORDER BY id DESC LIMIT 160) AS last
                """)
            rates.append(160 / (try rows[0].get("seconds", as: Double.self)))
        }
        return rates.sorted()[1]
    }

    private func results(_ stack: ChaosStack) async throws -> [Int: JSONValue] {
        var answers: [Int: JSONValue] = [:]
        for job in try await stack.store.list(limit: 10_000) {
            let (number, result) = (try #require(job.metadata["number"]?.intValue), try #require(job.result))
            #expect(answers[number] == nil || answers[number] == result)
            answers[number] = result
        }
        #expect(answers.count == Self.variety)
        return answers
    }

    /// Keeps the line filled, as a client that tries again. Returns how many jobs it knows to be in.
    private func submit(_ stack: ChaosStack) async throws -> Int {
        var submitted = 0
        while !Task.isCancelled {
            if (try? await unfinished(stack)) ?? .max < 80, (try? await insert(stack, count: 40)) != nil {
                submitted += 40
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
        return submitted
    }
}
