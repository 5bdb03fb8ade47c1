// A server that does not answer: nobody waits for it longer than allowed, and the next connection works.
import Foundation
import Logging
import TestSupport
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(5))) struct StuckServerTests {
    /// A database, reached through a proxy.
    private func withProxy(_ body: (PostgresConfiguration, TestProxy) async throws -> Void) async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let proxy = try TestProxy(to: database.url)
            defer { proxy.close() }
            try await body(try PostgresConfiguration(url: proxy.url(for: database.url)), proxy)
        }
    }

    @Test func anAnswerThatDoesNotComeIsGivenUp() async throws {
        try await withProxy { configuration, proxy in
            let pool = PostgresPool(
                configuration.timeouts(connect: 2, answer: 0.3), size: 1, logger: LogRecords().logger)
            _ = try await pool.query("SELECT 1")
            proxy.loseConnections()
            let start = ContinuousClock.now
            let error = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
            #expect(error?.kind == .connection)
            #expect(start.duration(to: .now) < .seconds(20))
            #expect(try await pool.query("SELECT 2 AS a")[0].get("a", as: Int.self) == 2)
            await pool.close()
        }
    }

    /// Connections that died in the pool are no reason for a statement to fail.
    @Test func theFirstStatementAfterARestartSucceeds() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let pool = database.pool(3)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { _ = try await pool.query("SELECT pg_sleep(0.1)") } }
                try await group.waitForAll()
            }
            let other = database.pool(1)
            _ = try await other.query(
                """
                SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                """)
            for number in 0..<3 {
                #expect(try await pool.query("SELECT $1::int AS a", [number])[0].get("a", as: Int.self) == number)
            }
            await pool.close()
            await other.close()
        }
    }

    @Test func aCopyThatIsSentAsAStatementIsAnError() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let pool = database.pool(1)
            for statement: SQL in ["COPY pg_class TO STDOUT", "CREATE TEMP TABLE t (a int); COPY t FROM STDIN"] {
                let error = await #expect(throws: PostgresError.self) {
                    try await pool.withConnection { connection throws(PostgresError) in
                        try await connection.script(statement)
                    }
                }
                #expect(error?.message.contains("COPY") == true)
            }
            #expect(try await pool.query("SELECT 1 AS a")[0].get("a", as: Int.self) == 1)
            await pool.close()
        }
    }

    @Test func aServerThatTakesConnectionsAndSaysNothingIsGivenUp() async throws {
        try await withProxy { configuration, proxy in
            proxy.freeze()
            let error = await #expect(throws: PostgresError.self) {
                try await PostgresConnection.connect(configuration.timeouts(connect: 0.3, answer: nil))
            }
            #expect(error?.kind == .connection)
            #expect(error?.message.contains("no answer from 127.0.0.1:\(proxy.port)") == true)
        }
    }

    @Test func connectingCanBeCancelled() async throws {
        try await withProxy { configuration, proxy in
            proxy.freeze()
            let task = Task { try await PostgresConnection.connect(configuration.timeouts(connect: 600, answer: nil)) }
            task.cancel()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.kind == .cancelled)
        }
    }

    /// The request to cancel goes to the same silent server; it must not be waited for either.
    @Test func cancellingAtASilentServerEnds() async throws {
        try await withProxy { configuration, proxy in
            let connection = try await PostgresConnection.connect(configuration.timeouts(answer: nil))
            _ = try await connection.query("SELECT 1")
            proxy.freeze()
            let task = Task { try await connection.query("SELECT 1") }
            let other = Task { try await connection.query("SELECT 2") }
            task.cancel()
            await #expect(throws: PostgresError.self) { try await task.value }
            task.cancel()
            other.cancel()
            await #expect(throws: PostgresError.self) { try await other.value }
            await connection.close()
        }
    }

    /// Cancelled at any moment, a statement takes no other with it.
    @Test func aCancellationHitsItsOwnStatementOnly() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let connection = try await PostgresConnection.connect(database.configuration)
            var cancelled = 0
            for round in 0..<200 {
                let task = Task { try await connection.query("SELECT pg_sleep(0.003)") }
                // As long as 0 to 6 ms of the server's time: before, while and after the statement runs.
                try await Task.sleep(for: .microseconds(30 * round))
                task.cancel()
                let next = try await connection.query("SELECT $1::int AS a", [round])
                #expect(try next[0].get("a", as: Int.self) == round)
                do { _ = try await task.value } catch let error as PostgresError {
                    #expect(error.kind == .cancelled)
                    cancelled += 1
                }
            }
            #expect(cancelled > 0 && cancelled < 200)
            await connection.close()
        }
    }

    /// COPY asks for rows only as fast as the server takes them.
    @Test func copyHoldsOnlyAPiece() async throws {
        try await withProxy { configuration, proxy in
            let connection = try await PostgresConnection.connect(configuration.timeouts(answer: 1))
            try await connection.script("CREATE TABLE t (a text)")
            let rows = CountedRows(text: String(repeating: "x", count: 1000), freeze: proxy.freeze)
            let error = await #expect(throws: PostgresError.self) {
                try await connection.copyIn("COPY t FROM STDIN", rows: rows)
            }
            #expect(error?.kind == .connection)
            // What went beyond 1,000 rows is in the buffers of the kernel.
            #expect(rows.count < 50_000)
            await connection.close()
        }
    }

    @Test func rowsThatFailTakeTheCopyBack() async throws {
        struct Broken: Error {}
        try await TestDatabase.with(migrated: false) { database async throws in
            let connection = try await PostgresConnection.connect(database.configuration)
            try await connection.script("CREATE TABLE t (a text)")
            let rows = AsyncThrowingStream<[String?], any Error> { continuation in
                for number in 0..<100_000 { continuation.yield(["\(number)"]) }
                continuation.finish(throwing: Broken())
            }
            await #expect(throws: Broken.self) { try await connection.copyIn("COPY t FROM STDIN", rows: rows) }
            #expect(try await connection.query("SELECT count(*) AS n FROM t")[0].get("n", as: Int.self) == 0)
            await #expect(throws: PostgresError.self) {
                try await connection.copyIn("SELECT 1", rows: [["a"]])
            }
            #expect(try await connection.query("SELECT 1 AS a")[0].get("a", as: Int.self) == 1)
            await connection.close()
        }
    }

    @Test func nobodyWaitsForEverForAConnection() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let pool = PostgresPool(database.configuration, size: 1, acquireTimeout: 0.2, logger: LogRecords().logger)
            try await pool.withConnection { _ throws(PostgresError) in
                let late = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
                #expect(late?.kind == .retriable)
                let task = Task { try await pool.query("SELECT 1") }
                task.cancel()
                let cancelled = await #expect(throws: PostgresError.self) { try await task.value }
                #expect(cancelled?.kind == .cancelled || cancelled?.kind == .retriable)
            }
            #expect(try await pool.query("SELECT 1 AS a")[0].get("a", as: Int.self) == 1)
            await pool.close()
        }
    }
}

/// Endless rows of that text; after the thousandth something happens.
private final class CountedRows: Sequence, IteratorProtocol {
    private let text: String
    private let freeze: () -> Void
    private(set) var count = 0

    init(text: String, freeze: @escaping () -> Void) {
        self.text = text
        self.freeze = freeze
    }

    func next() -> [String?]? {
        count += 1
        if count == 1000 { freeze() }
        return [text]
    }
}
