// A database that is not there, or that refuses: programs say so plainly, and workers keep trying.
import Foundation
import Glibc
import JobModel
import JobStorage
import JobWorker
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct AbsentDatabaseTests {
    /// Lines of a program's log.
    private func lines(_ log: String) -> [String] {
        String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
            .split(separator: "\n").map(String.init)
    }

    private func withLog(_ body: (String) async throws -> Void) async throws {
        let log = NSTemporaryDirectory() + "millrace-log-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: log) }
        try await body(log)
    }

    @Test func aWorkerStartedBeforeItsDatabaseSaysSoAndWorksLater() async throws {
        try await Fleet.with { fleet in
            try await withLog { log in
                let proxy = try TestProxy(to: fleet.database.url, isOpen: false)
                defer { proxy.close() }
                let worker = try TestProcess(
                    "inference-worker", ["--threads", "1"],
                    environment: ["DATABASE_URL": proxy.url(for: fleet.database.url), "REDIS_URL": fleet.redis.url],
                    log: log)
                func complaints() -> [String] { lines(log).filter { $0.contains("PostgreSQL can't be reached") } }
                try await eventually(within: 60, "the worker complains") { !complaints().isEmpty }
                // Long enough for several tries, of which no more is to be heard.
                try await Task.sleep(for: .seconds(6))
                let said = complaints()
                #expect(said.count == 1, "\(said)")
                #expect(said[0].contains("keeps trying"))
                #expect(said[0].contains("port \(proxy.port) failed: Connection refused"))

                proxy.open()
                let ids = try await fleet.insert(4, tokens: 4)
                try await fleet.waitForAll(ids, within: 60)
                #expect(try await fleet.jobs(ids).allSatisfy { $0.state == .succeeded && $0.attempt == 1 })
                try await fleet.waitForEvents(ids)
                worker.signal(SIGTERM)
                #expect(await worker.wait() == 0)
            }
        }
    }

    @Test func aWorkerWithAWrongPasswordSaysSoAndCanBeEnded() async throws {
        try await withLog { log in
            let url = try wrongPassword()
            let worker = try TestProcess(
                "inference-worker", ["--threads", "1"], environment: ["DATABASE_URL": url], log: log)
            try await eventually(within: 60, "the worker complains") {
                lines(log).contains { $0.contains("keeps trying") && $0.contains("authentication failed") }
            }
            #expect(!lines(log).contains { $0.contains("wrong-password") })
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    @Test func jobctlSaysAtOnceWhatIsWrong() async throws {
        let proxy = try TestProxy(to: "postgresql://127.0.0.1:1/x", isOpen: false)
        defer { proxy.close() }
        var unmigrated = URLComponents(string: try requiredVariable("DATABASE_URL"))!
        unmigrated.path = "/template1"
        let cases: [(url: String, status: Int32, says: String)] = [
            ("postgresql://127.0.0.1:\(proxy.port)/x", 69, "PostgreSQL can't be reached"),
            (try wrongPassword(), 77, "authentication failed"),
            (unmigrated.string!, 1, "jobctl migrate up"),
            ("nonsense://", 1, "DATABASE_URL is not a connection string"),
        ]
        for (url, status, says) in cases {
            for command in [["list"], ["submit", "--prompt", "x"], ["wait", "1"], ["migrate", "status"]] {
                // Migrations need no schema.
                if status == 1, command[0] == "migrate", says.contains("migrate") { continue }
                try await withLog { log in
                    let start = ContinuousClock.now
                    let program = try TestProcess("jobctl", command, environment: ["DATABASE_URL": url], log: log)
                    #expect(await program.wait() == status, "\(command) \(says)")
                    #expect(start.duration(to: .now) < .seconds(30))
                    let said = lines(log)
                    #expect(said.count == 1 && said[0].hasPrefix("Error: ") && said[0].contains(says), "\(said)")
                }
            }
        }
    }

    /// The beat must not hang on a connection that is dead without knowing it.
    @Test func theHeartbeatLeavesADeadConnection() async throws {
        try await TestDatabase.with { database async throws in
            let proxy = try TestProxy(to: database.url)
            defer { proxy.close() }
            let pool = database.pool()
            let store = PostgresJobStore(pool: pool)
            let id = WorkerID()
            try await store.register(
                WorkerRegistration(id: id, name: "test", host: "here", processID: 1, profile: [:]))
            func beat() async throws -> Double {
                try await pool.query("SELECT extract(epoch FROM max(beat_at))::float8 AS at FROM millrace.workers")[0]
                    .get("at")
            }
            let registered = try await beat()
            let heartbeat = Heartbeat(
                try PostgresConfiguration(url: proxy.url(for: database.url)), worker: id, interval: 0.1,
                logger: LogRecords().logger)
            defer { heartbeat.stop() }
            try await eventually(within: 10, "a beat") { try await beat() > registered }
            proxy.loseConnections()
            let lost = try await beat()
            // A worker without a beat for ten seconds is dead.
            try await eventually(within: 9, "a beat by another connection") { try await beat() > lost + 1 }
            await pool.close()
        }
    }

    private func wrongPassword() throws -> String {
        var parts = URLComponents(string: try requiredVariable("DATABASE_URL"))!
        parts.password = "wrong-password"
        return parts.string!
    }
}
