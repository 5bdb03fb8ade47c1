// PostgresClient against a real server.
import Foundation
import TestSupport
import Testing

@testable import PostgresClient

@Suite struct PostgresClientTests {
    @Test func valuesComeBackAsTheyWent() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let connection = try await PostgresConnection.connect(database.configuration)
            for text in ["", "'; --", "\\N", "ž🐎", "{\"a\",NULL}", "\t\r\n"] {
                let rows = try await connection.query("SELECT $1::text AS a, ($2::text[])[1] AS b", [text, [text]])
                #expect(try rows[0].get("a", as: String.self) == text)
                #expect(try rows[0].get("b", as: String.self) == text)
            }
            for number in [Int64.min, -1, 0, .max] {
                let rows = try await connection.query("SELECT $1::int8 AS a, ARRAY[$1::int8] AS b", [number])
                #expect(try rows[0].get("a", as: Int64.self) == number)
                #expect(try rows[0].get("b", as: [Int64].self) == [number])
            }
            for number in [0.1, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude] {
                let rows = try await connection.query("SELECT $1::float8 AS a", [number])
                #expect(try rows[0].get("a", as: Double.self) == number)
            }
            let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
            let row = try await connection.query("SELECT $1::bytea AS a, $2::text AS b", [PostgresBytes(bytes), nil])[0]
            #expect(try row.get("a", as: PostgresBytes.self).bytes == bytes)
            #expect(try row.optional("b", as: String.self) == nil)
            await connection.close()
        }
    }

    @Test func mistakesAreNamed() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let connection = try await PostgresConnection.connect(database.configuration)
            let nul = await #expect(throws: PostgresError.self) {
                try await connection.query("SELECT $1::text", ["a\0b"])
            }
            #expect(nul?.message.contains("$1") == true)
            let zero = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1 / 0") }
            #expect(zero?.sqlState == "22012" && zero?.kind == .permanent)
            let row = try await connection.query("SELECT 'x' AS a, NULL AS b")[0]
            let type = #expect(throws: PostgresError.self) { try row.get("a", as: Int.self) }
            #expect(type?.message.contains("column a") == true)
            #expect(throws: PostgresError.self) { try row.get("b", as: String.self) }
            #expect(throws: PostgresError.self) { try row.get("c", as: String.self) }
            await connection.close()
        }
    }

    @Test func aKilledConnectionIsReplaced() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let pool = database.pool(1)
            let error = await #expect(throws: PostgresError.self) {
                try await pool.query("SELECT pg_terminate_backend(pg_backend_pid())")
            }
            #expect(error?.kind == .connection)
            #expect(try await pool.query("SELECT 1 AS a")[0].get("a", as: Int.self) == 1)
            await pool.close()
        }
    }

    @Test func aPoolServesMoreTasksThanConnections() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let pool = database.pool(4)
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<1000 {
                    group.addTask { try await pool.query("SELECT $1::int8 AS a", [number])[0].get("a") }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 499_500)
            await pool.close()
        }
    }

    /// Cancelling must end the statement on the server and must not leave a transaction on a connection of the pool.
    @Test(.timeLimit(.minutes(5))) func aCancelledTransactionIsRolledBack() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let pool = database.pool(1)
            let watcher = database.pool(1)
            _ = try await pool.query("CREATE TABLE t (a int)")
            let task = Task {
                try await pool.withConnection { connection throws(PostgresError) in
                    try await connection.transaction { connection throws(PostgresError) in
                        _ = try await connection.query("INSERT INTO t VALUES (1)")
                        _ = try await connection.query("SELECT pg_sleep(600)")
                    }
                }
            }
            func sleepers() async throws -> Int {
                try await watcher.query(
                    """
                    SELECT count(*) AS n FROM pg_stat_activity
                    WHERE query LIKE 'SELECT pg_sleep(600)' AND state = 'active' AND datname = current_database()
                    """
                )[0].get("n")
            }
            try await eventually(within: 20, "the statement runs") { try await sleepers() == 1 }
            task.cancel()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.kind == .cancelled)
            #expect(try await sleepers() == 0)
            _ = try await pool.query("INSERT INTO t VALUES (2)")
            #expect(try await watcher.query("SELECT a FROM t")[0].get("a", as: Int.self) == 2)
            await pool.close()
            await watcher.close()
        }
    }

    @Test func aFailedTransactionIsNotCommitted() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let pool = database.pool(1)
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withConnection { connection throws(PostgresError) in
                    try await connection.transaction { connection throws(PostgresError) in
                        _ = try? await connection.query("SELECT 1 / 0")
                    }
                }
            }
            #expect(error?.sqlState == "25P02")
            // An open transaction does not come back into the pool.
            try await pool.withConnection { connection throws(PostgresError) in
                try await connection.script("BEGIN; SET LOCAL millrace.mark = 'open'")
            }
            let row = try await pool.query("SELECT coalesce(current_setting('millrace.mark', true), '') AS mark")[0]
            #expect(try row.get("mark", as: String.self) == "")
            await pool.close()
        }
    }

    @Test func rowsAreCopied() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let connection = try await PostgresConnection.connect(database.configuration)
            try await connection.script("CREATE TABLE t (a text, b int)")
            let rows: [[String?]] = [["a\tb\\\r\n", "1"], [nil, nil], ["\\N", "2"], ["", "3"]]
            #expect(try await connection.copyIn("COPY t FROM STDIN", rows: rows) == 4)
            let back = try await connection.query("SELECT a FROM t").map { row in try row.optional("a", as: String.self)
            }
            #expect(back == rows.map { $0[0] })
            let error = await #expect(throws: PostgresError.self) {
                try await connection.copyIn("COPY t FROM STDIN", rows: [["x", "1"], ["y", "no number"]])
            }
            #expect(error?.sqlState == "22P02")
            #expect(try await connection.query("SELECT count(*) AS n FROM t")[0].get("n", as: Int.self) == 4)
            await connection.close()
        }
    }

    @Test func errorsSayWhetherToTryAgain() {
        let kinds: [(String, PostgresError.Kind)] = [
            ("40001", .retriable), ("40P01", .retriable), ("55P03", .retriable), ("53300", .retriable),
            ("08006", .connection), ("57P01", .connection), ("57P03", .connection), ("57014", .cancelled),
            ("23505", .permanent), ("42601", .permanent),
        ]
        for (state, kind) in kinds { #expect(PostgresError.kind(of: state) == kind, "\(state)") }
    }

    @Test func thePasswordIsNeverPrinted() throws {
        let configuration = try PostgresConfiguration(url: "postgres://me:s3cret@localhost:1/db")
        #expect(!"\(configuration)".contains("s3cret"))
        let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(url: "postgres://me:s3cret@[") }
        #expect(error.map { "\($0) \($0.debugDescription)".contains("s3cret") } == false)
    }

    @Test func placesOfAPoolAreHandedOnInOrder() {
        var state = PoolState(size: 2)
        #expect(state.acquire() == .granted)
        #expect(state.acquire() == .granted)
        #expect(state.acquire() == .wait(ticket: 1))
        #expect(state.acquire() == .wait(ticket: 2))
        #expect(state.release() == 1)
        #expect(state.release() == 2)
        #expect(state.release() == nil)
        #expect(state.acquire() == .granted)
        state.close()
        #expect(state.acquire() == .closed)
    }
}
