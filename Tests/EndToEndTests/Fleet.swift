// A whole Millrace for one test: database, Redis, registered model, workers as real processes, one subscriber.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import PostgresClient
import RedisClient
import TestSupport

final class Fleet: Sendable {
    let database: TestDatabase
    let redis: TestRedis
    let pool: PostgresPool
    let store: PostgresJobStore
    let events: EventLog

    static let model = "smollm2-135m-instruct"

    static func with(_ body: (Fleet) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            let redis = try await TestRedis()
            let fleet = Fleet(database, redis, try EventLog())
            do {
                try await fleet.registerModel()
                try await fleet.events.listen(socket: redis.socket)
                try await body(fleet)
            } catch {
                await fleet.close()
                throw error
            }
            await fleet.close()
        }
    }

    private init(_ database: TestDatabase, _ redis: TestRedis, _ events: EventLog) {
        self.database = database
        self.redis = redis
        self.events = events
        pool = database.pool()
        store = PostgresJobStore(pool: pool)
    }

    private func close() async {
        await events.remove()
        await pool.close()
        await redis.remove()
    }

    private func registerModel() async throws {
        let path = try requiredVariable("MILLRACE_MODELS") + "/\(Self.model).gguf"
        let add = try TestProcess("jobctl", ["model", "add", Self.model, path], environment: environment)
        let status = await add.wait()
        guard status == 0 else {
            throw Timeout(description: "jobctl model add ended with \(status); is \(path) there?")
        }
    }

    var environment: [String: String] { ["DATABASE_URL": database.url, "REDIS_URL": redis.url] }

    func startWorker(_ log: String? = nil, environment variables: [String: String] = [:]) throws -> TestProcess {
        try TestProcess(
            "inference-worker", ["--threads", "1"], environment: environment.merging(variables) { $1 }, log: log)
    }

    // MARK: Jobs

    /// One INSERT of that many rows, as any client would write it. The same numbers give the same jobs; each is computed.
    func insert(_ count: Int, tokens: Int) async throws -> ClosedRange<JobID> {
        let rows = (1...count).map { number in
            """
            ('generate', '\(Self.model)', '{"prompt": "Number \(number) is", "raw": true, "max_tokens": \(tokens), \
            "temperature": \(number % 2 == 0 ? "0" : "0.8"), "seed": \(number)}', false)
            """
        }
        let statement = SQL(
            trusted:
                "INSERT INTO millrace.jobs (kind, model, input, cache) VALUES \(rows.joined(separator: ", ")) RETURNING id"
        )
        let ids = try await pool.query(statement).map { try $0.get("id", as: JobID.self) }
        return ids.min()!...ids.max()!
    }

    func waitForAll(_ ids: ClosedRange<JobID>, within seconds: Double) async throws {
        try await eventually(within: seconds, "all jobs end") {
            try await self.store.states(of: Array(ids)).values.allSatisfy(\.isFinal)
        }
    }

    func jobs(_ ids: ClosedRange<JobID>) async throws -> [Job] {
        try await store.list(before: ids.upperBound + 1, limit: ids.count).reversed()
    }

    /// Waits for the event of each of the jobs.
    func waitForEvents(_ ids: ClosedRange<JobID>, within seconds: Double = 10) async throws {
        try await eventually(within: seconds, "an event for each job") {
            self.events.ids.isSuperset(of: ids.map { Int($0) })
        }
    }

    // MARK: Time, by the database's clock

    /// Seconds since 1970.
    func now() async throws -> Double {
        try await pool.query("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")[0].get("now")
    }

    /// When the last of the jobs ended, in seconds since 1970.
    func end(of ids: ClosedRange<JobID>) async throws -> Double {
        try await pool.query(
            "SELECT extract(epoch FROM max(finished_at))::float8 AS ended FROM millrace.jobs WHERE id BETWEEN $1 AND $2",
            [ids.lowerBound, ids.upperBound])[0].get("ended")
    }

    /// When the last of the jobs that lost their worker was back in line, and when the first was claimed again, in seconds
    /// since 1970.
    func rescue(of ids: ClosedRange<JobID>) async throws -> (inLine: Double, claimed: Double) {
        let row = try await pool.query(
            """
            SELECT extract(epoch FROM max(a.finished_at))::float8 AS in_line, extract(epoch FROM min(j.started_at))::float8 AS claimed
            FROM millrace.attempts a JOIN millrace.jobs j ON j.id = a.job_id
            WHERE a.outcome = 'lost' AND j.id BETWEEN $1 AND $2
            """, [ids.lowerBound, ids.upperBound])[0]
        return (try row.get("in_line"), try row.get("claimed"))
    }

    // MARK: Workers

    func waitForRunningJobs(_ count: Int, of process: pid_t) async throws {
        try await eventually(within: 60, "process \(process) runs \(count) jobs") {
            try await self.store.workers().contains { $0.processID == Int(process) && $0.running >= count }
        }
    }

    func waitForWorkers(_ count: Int) async throws {
        try await eventually(within: 60, "\(count) workers are registered") {
            try await self.store.workers().count == count
        }
    }

    // MARK: Redis

    /// Of these jobs, those whose result Redis keeps.
    func keptResults(_ ids: ClosedRange<JobID>) async throws -> Int {
        let connection = RedisConnection(try RedisConfiguration(url: redis.url))
        let replies = try await connection.send(ids.map { ["EXISTS", JobEvent.resultKey(of: $0)] })
        return replies.count { $0 == .integer(1) }
    }
}
