// Equal jobs on real workers, one of which dies, and jobs that are run again to compare the bytes.
import Foundation
import Glibc
import JSON
import JobModel
import PostgresClient
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct ReuseTests {
    private static let count = 1000
    private static let equalJobs: SQL = """
        INSERT INTO millrace.jobs (kind, model, input)
        SELECT 'generate', 'smollm2-135m-instruct', '{"prompt": "Number one is", "raw": true, "max_tokens": 400, "ignore_eos": true, "temperature": 0.8, "seed": 5}'
        FROM generate_series(1, 1000) RETURNING id
        """

    private func insert(_ fleet: Fleet) async throws -> ClosedRange<JobID> {
        let ids = try await fleet.pool.query(Self.equalJobs).map { try $0.get("id", as: JobID.self) }
        return ids.min()!...ids.max()!
    }

    @Test func aThousandEqualJobsAreComputedOnceThoughTheirWorkerDies() async throws {
        try await Fleet.with { fleet in
            let victim = try fleet.startWorker()
            let ids = try await insert(fleet)
            try await eventually(within: 60, "others follow the one whose tokens are stored") {
                let follows = try await fleet.pool.query("SELECT count(*) AS jobs FROM millrace.followers")[0]
                return try await fleet.store.progress(of: ids.lowerBound) != nil
                    && follows.get("jobs", as: Int.self) > 0
            }
            await victim.kill()
            let survivor = try fleet.startWorker()
            try await fleet.waitForAll(ids, within: 120)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.allSatisfy { $0.state == .succeeded })
            #expect(Set(jobs.map { $0.result?.text() }).count == 1)
            #expect(jobs.count { $0.usage?["cached_result"] == nil } == 1)
            let counts = try await fleet.pool.query("SELECT * FROM millrace.reuse()")[0]
            print("\(Self.count) equal jobs: \(try counts.get("served", as: Int.self)) got the result of another")
            #expect(try counts.get("served", as: Int.self) == Self.count - 1)
            #expect(try counts.get("following", as: Int.self) == 0)
            #expect(try await fleet.store.faults().map(\.description) == [])
            try await fleet.waitForEvents(ids)
            #expect(fleet.events.events(about: ids).count == Self.count)

            // What the survivor went on with is what it writes alone.
            let again = try await fleet.jobctl(["replay", "\(ids.lowerBound)", "--verify", "--json"])
            #expect(again.status == 0 && again.values.last?["verdict"] == "equal")
            survivor.signal(SIGTERM)
            #expect(await survivor.wait() == 0)
        }
    }

    @Test func replaySaysWhatChanged() async throws {
        try await Fleet.with { fleet in
            let worker = try fleet.startWorker()
            let ids = try await fleet.insert(1, tokens: 6)
            try await fleet.waitForAll(ids, within: 60)
            let first = "\(ids.lowerBound)"
            let plain = try await fleet.jobctl(["replay", first, "--json"])
            #expect(plain.status == 0 && plain.values.first?["replay_of"]?.intValue == Int(ids.lowerBound))
            let equal = try await fleet.jobctl(["replay", first, "--verify"])
            #expect(equal.status == 0 && equal.lines.last?.hasPrefix("equal: ") == true)

            let change = "UPDATE millrace.jobs SET result = jsonb_set(result, '{text}', '\"x\"') WHERE id = $1" as SQL
            _ = try await fleet.pool.query(change, [ids.lowerBound])
            let different = try await fleet.jobctl(["replay", first, "--verify", "--json"])
            #expect(different.status == 3 && different.values.last?["verdict"] == "different")
            #expect(different.values.last?["offset"]?.intValue == 9)
            let other =
                "UPDATE millrace.jobs SET usage = jsonb_set(usage, '{provenance,cpu}', '\"none\"') WHERE id = $1" as SQL
            _ = try await fleet.pool.query(other, [ids.lowerBound])
            let incomparable = try await fleet.jobctl(["replay", first, "--verify", "--json"])
            #expect(incomparable.status == 4)
            #expect(
                incomparable.values.last?["reason"]?.stringValue?.hasPrefix("another CPU feature level: none, now ")
                    == true)

            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
            let late = try await fleet.jobctl(["replay", first, "--verify", "--timeout", "0.5"])
            #expect(late.status == 75)
            let waiting = try #require(plain.values.first?["id"]?.intValue)
            _ = try await fleet.jobctl(["cancel", "\(waiting + 4)"])
            let refused = try await fleet.jobctl(["replay", "\(waiting + 4)"])
            #expect(refused.status == 1 && refused.lines.last?.contains("only a result can be compared") == true)
        }
    }
}
