// Servers of a test's own that it may kill: a private PostgreSQL and Redis by `jobctl up`, and workers behind proxies.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import PostgresClient
import RedisClient
import TestSupport

final class ChaosStack: Sendable {
    let home: String
    let database: String
    let redis: String
    let pool: PostgresPool
    var store: PostgresJobStore { PostgresJobStore(pool: pool) }

    static func with(_ body: (ChaosStack) async throws -> Void) async throws {
        let stack = try await ChaosStack()
        do { try await body(stack) } catch {
            await stack.remove()
            throw error
        }
        await stack.remove()
    }

    private init() async throws {
        home = NSTemporaryDirectory() + "millrace-chaos-\(UUID().uuidString.prefix(8))"
        // The servers' user must get in.
        try FileManager.default.createDirectory(
            atPath: home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        try await Self.jobctl(["up", "--detach"], home)
        let file = try JSONValue(parsing: Array(Data(contentsOf: URL(fileURLWithPath: home + "/stack.json"))))
        guard let database = file["database_url"]?.stringValue, let redis = file["redis_url"]?.stringValue else {
            throw Timeout(description: "\(home)/stack.json names no servers")
        }
        self.database = database
        self.redis = redis
        pool = PostgresPool(try PostgresConfiguration(url: database), size: 4, logger: LogRecords().logger)
    }

    private func remove() async {
        await pool.close()
        try? await Self.jobctl(["down"], home)
        try? FileManager.default.removeItem(atPath: home)
    }

    private static func jobctl(_ arguments: [String], _ home: String) async throws {
        let environment = ["MILLRACE_HOME": home, "DATABASE_URL": "", "REDIS_URL": ""]
        let log = home + "/jobctl.log"
        let status = try await TestProcess("jobctl", arguments, environment: environment, log: log).wait()
        guard status == 0 else {
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            throw Timeout(description: "jobctl \(arguments.joined(separator: " ")) ended with \(status): \(text)")
        }
    }

    func prepare(model: String) async throws {
        try await Self.jobctl(["migrate", "up"], home)
        try await Self.jobctl(
            ["model", "add", model, try requiredVariable("MILLRACE_MODELS") + "/\(model).gguf"], home)
        // Every time that a job reaches a last state, whoever writes it.
        let connection = try await PostgresConnection.connect(try PostgresConfiguration(url: database))
        try await connection.script(
            """
            CREATE TABLE public.ends (job_id bigint, state text);
            CREATE FUNCTION public.note_end() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO public.ends VALUES (NEW.id, NEW.state); RETURN NEW; END $$;
            CREATE TRIGGER note_end AFTER UPDATE ON millrace.jobs FOR EACH ROW
                WHEN (NEW.finished_at IS NOT NULL AND OLD.result IS DISTINCT FROM NEW.result OR NEW.finished_at IS DISTINCT FROM OLD.finished_at)
                EXECUTE FUNCTION public.note_end();
            """)
        await connection.close()
    }

    // MARK: Servers

    /// Starts what is down.
    func heal() async throws { try await Self.jobctl(["up", "--detach"], home) }

    /// The parent of every server process.
    private func postmaster() async throws -> pid_t {
        let rows = try await pool.query("SELECT pg_backend_pid() AS pid")
        let backend = try rows[0].get("pid", as: Int.self)
        let status = try String(contentsOfFile: "/proc/\(backend)/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("PPid:") }),
            let pid = line.split(separator: "\t").last.flatMap({ pid_t($0) })
        else { throw Timeout(description: "backend \(backend) has no parent") }
        return pid
    }

    /// - Parameter signal: SIGINT stops fast, SIGQUIT at once and without a checkpoint.
    func stopPostgres(_ signal: Int32) async throws {
        let pid = try await postmaster()
        Glibc.kill(pid, signal)
        try await eventually(within: 60, "PostgreSQL is down") { Glibc.kill(pid, 0) != 0 }
    }

    func killRedis() async throws {
        let connection = RedisConnection(try RedisConfiguration(url: redis))
        guard case .bytes(let text) = try await connection.send(["INFO", "server"]),
            let line = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline).first(where: {
                $0.hasPrefix("process_id:")
            }),
            let pid = line.split(separator: ":").last.flatMap({ pid_t($0) })
        else { throw Timeout(description: "Redis does not tell its process") }
        Glibc.kill(pid, SIGKILL)
    }

    /// Kills the database's processes that serve others than this test.
    func killBackends() async throws {
        _ = try await pool.query(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
    }

    /// Takes connections until there are no more.
    func exhaust() async throws -> [PostgresConnection] {
        var taken: [PostgresConnection] = []
        while taken.count < 250 {
            guard
                let connection = try? await PostgresConnection.connect(
                    try PostgresConfiguration(url: database).timeouts(answer: 5))
            else { break }
            taken.append(connection)
        }
        return taken
    }
}
