// A whole Millrace for one test: database, Redis, registered model, workers as real processes, one subscriber.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import PostgresClient
import RedisClient
import Synchronization
import TestSupport

final class Fleet: Sendable {
    let database: TestDatabase
    let redis: TestRedis
    let pool: PostgresPool
    let store: PostgresJobStore
    let events = EventLog()

    static let model = "smollm2-135m-instruct"

    static func with(_ body: (Fleet) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            let redis = try await TestRedis()
            let fleet = Fleet(database, redis)
            do {
                try await fleet.registerModel()
                try await fleet.events.listen(try RedisConfiguration(url: redis.url))
                try await body(fleet)
            } catch {
                await fleet.close()
                throw error
            }
            await fleet.close()
        }
    }

    private init(_ database: TestDatabase, _ redis: TestRedis) {
        self.database = database
        self.redis = redis
        pool = database.pool()
        store = PostgresJobStore(pool: pool)
    }

    private func close() async {
        events.stop()
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

    func startWorker(_ log: String? = nil) throws -> TestProcess {
        try TestProcess("inference-worker", ["--threads", "1"], environment: environment, log: log)
    }

    /// One INSERT for all.
    func insert(_ count: Int, tokens: Int) async throws -> ClosedRange<JobID> {
        let rows = try await pool.query(
            """
            INSERT INTO millrace.jobs (kind, model, input)
            SELECT 'generate', 'smollm2-135m-instruct',
                jsonb_build_object('prompt', 'Number ' || n || ' is', 'raw', true, 'max_tokens', $2::int,
                    'temperature', CASE WHEN n % 2 = 0 THEN 0 ELSE 0.8 END, 'seed', n)
            FROM generate_series(1, $1::int) n RETURNING id
            """, [count, tokens])
        let ids = try rows.map { try $0.get("id", as: JobID.self) }
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

    func waitForRunningJobs(_ count: Int, of process: pid_t) async throws {
        try await eventually(within: 60, "process \(process) runs \(count) jobs") {
            try await self.store.workers().contains { $0.processID == Int(process) && $0.running >= count }
        }
    }

    func waitForWorkers(_ count: Int) async throws {
        try await eventually(within: 20, "\(count) workers are registered") {
            try await self.store.workers().count == count
        }
    }
}

/// Everything that a subscriber hears.
final class EventLog: Sendable {
    private let heard = Mutex<[JSONValue]>([])
    private let subscriber = Mutex<RedisSubscriber?>(nil)

    func listen(_ configuration: RedisConfiguration) async throws {
        let subscriber = RedisSubscriber(configuration, patterns: ["millrace:events"])
        self.subscriber.withLock { $0 = subscriber }
        let (subscribed, continuation) = AsyncStream.makeStream(of: Void.self)
        Task { [self] in
            for await event in subscriber.events {
                switch event {
                case .subscribed: continuation.yield()
                case .message(_, let payload):
                    if let value = try? JSONValue(parsing: payload) { heard.withLock { $0.append(value) } }
                }
            }
        }
        for await _ in subscribed { break }
    }

    func stop() { subscriber.withLock { $0?.stop() } }

    var all: [JSONValue] { heard.withLock { $0 } }
    /// Attempts of the events about these jobs, by id.
    func attempts(_ ids: ClosedRange<JobID>) -> [Int] {
        var attempts: [(id: Int, attempt: Int)] = []
        for event in all {
            guard let id = event["id"]?.intValue, ids.contains(JobID(id)) else { continue }
            attempts.append((id, event["attempt"]?.intValue ?? 0))
        }
        return attempts.sorted { $0.id < $1.id }.map(\.attempt)
    }

    var ids: Set<Int> { Set(all.compactMap { $0["id"]?.intValue }) }
}

extension Fleet {
    /// Waits for a result key of each job in Redis.
    func resultKeys(_ ids: ClosedRange<JobID>) async throws -> Int {
        let connection = RedisConnection(try RedisConfiguration(url: redis.url))
        var count = 0
        try await eventually(within: 20, "results in Redis") {
            let replies = try await connection.send(ids.map { ["EXISTS", JobEvent.resultKey(of: $0)] })
            count = replies.count { $0 == .integer(1) }
            return count == ids.count
        }
        return count
    }
}
