// What is said when a server can't be had, and what the server says beside its answers.
import Foundation
import Logging
import TestSupport
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(5))) struct RefusalTests {
    private func refusal(_ url: String) async throws -> PostgresError? {
        let configuration = try PostgresConfiguration(url: url)
        return await #expect(throws: PostgresError.self) { try await PostgresConnection.connect(configuration) }
    }

    @Test func aServerThatIsNotThereIsNamedInOneLine() async throws {
        let proxy = try TestProxy(to: "postgresql://127.0.0.1:1/x", isOpen: false)
        defer { proxy.close() }
        let error = try await refusal("postgresql://127.0.0.1:\(proxy.port)/x")
        #expect(error?.kind == .connection && error?.sqlState == nil)
        #expect(
            error?.message
                == "PostgreSQL can't be reached: connection to server at \"127.0.0.1\", port \(proxy.port) failed: Connection refused"
        )
        let name = try await refusal("postgresql://no-such-host.invalid/x")
        #expect(name?.kind == .connection && name?.message.contains("no-such-host.invalid") == true)
        #expect(name?.message.contains("\n") == false)
    }

    @Test func aWrongPasswordAndAMissingDatabaseAreToldApart() async throws {
        var parts = URLComponents(string: try requiredVariable("DATABASE_URL"))!
        parts.path = "/no_such_database"
        let missing = try await refusal(parts.string!)
        #expect(missing?.kind == .connection && missing?.sqlState == "3D000")
        #expect(
            missing?.message == "PostgreSQL refuses the connection: database \"no_such_database\" does not exist")
        parts.password = "wrong"
        let wrong = try await refusal(parts.string!)
        #expect(wrong?.kind == .authentication && wrong?.sqlState == "28P01")
        #expect(wrong?.message.hasPrefix("PostgreSQL: authentication failed: password authentication failed") == true)
    }

    @Test func refusalsAreReadInAnyLanguage() {
        let french = PostgresHandle.refusal(
            """
            connection to server at "db" (::1), port 5432 failed: Connection refused
            \tIs the server running on that host and accepting TCP/IP connections?
            connection to server at "db" (127.0.0.1), port 5432 failed: FATAL:  28P01: authentification par mot de passe échouée
            EMPLACEMENT : auth_failed, auth.c:331
            """)
        #expect(french.kind == .authentication && french.sqlState == "28P01")
        #expect(french.message == "PostgreSQL: authentication failed: authentification par mot de passe échouée")
        let plain = PostgresHandle.refusal("could not translate host name: no such host\n")
        #expect(
            plain.kind == .connection && plain.message.hasSuffix("reached: could not translate host name: no such host")
        )
        #expect(PostgresHandle.refusal("").kind == .connection)
    }

    @Test func theNextServerOfSeveralIsTried() async throws {
        let silent = try TestProxy(to: "postgresql://127.0.0.1:1/x")
        defer { silent.close() }
        silent.freeze()
        let absent = try TestProxy(to: "postgresql://127.0.0.1:1/x", isOpen: false)
        defer { absent.close() }
        var parts = URLComponents(string: try requiredVariable("DATABASE_URL"))!
        let server = "\(parts.host!):\(parts.port!)"
        (parts.host, parts.port) = (nil, nil)
        let url = parts.string!.replacing(
            "@", with: "@127.0.0.1:\(absent.port),127.0.0.1:\(silent.port),\(server)", maxReplacements: 1)
        // The silent server takes all of the time; a busy machine must not need it for the good one.
        let configuration = try PostgresConfiguration(url: url).timeouts(connect: 5, answer: 60)
        let connection = try await PostgresConnection.connect(configuration)
        #expect(try await connection.query("SELECT 1 AS a")[0].get("a", as: Int.self) == 1)
        await connection.close()
    }

    @Test func severalServersAreTakenApart() throws {
        func shown(_ url: String) throws -> [String] { try PostgresConfiguration(url: url).servers.map { "\($0)" } }
        #expect(try shown("postgresql://u@a:1,b:2/d").map { String($0.prefix { $0 != "=" }) } == ["dbname", "dbname"])
        #expect(
            try shown("postgresql://u@a:1,b:2/d") == ["dbname=d user=u host=a port=1", "dbname=d user=u host=b port=2"])
        #expect(
            try shown("host=a,b port=5 dbname=d user=u") == [
                "dbname=d user=u host=a port=5", "dbname=d user=u host=b port=5",
            ])
        #expect(try PostgresConfiguration(url: "host=a,b target_session_attrs=prefer-standby").servers.count == 4)
        #expect(try PostgresConfiguration(url: "host=a connect_timeout=3").connectTimeout == 3)
    }

    @Test func noticesGoToTheLog() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let records = LogRecords()
            let connection = try await PostgresConnection.connect(database.configuration, logger: records.logger)
            try await connection.script(
                "DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; RAISE INFO 'three'; END $$")
            #expect(
                records.lines == [
                    "debug PostgreSQL notice: one", "info PostgreSQL warning: two", "debug PostgreSQL info: three",
                ])
            await connection.close()
        }
    }

    @Test func aListenerComesBackAndSaysSo() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let proxy = try TestProxy(to: database.url)
            defer { proxy.close() }
            let listener = PostgresListener(
                try PostgresConfiguration(url: proxy.url(for: database.url)), channels: ["a", "b"],
                logger: LogRecords().logger)
            defer { listener.stop() }
            var events = listener.events.makeAsyncIterator()
            #expect(await events.next() == .connected)
            let pool = database.pool(1)
            _ = try await pool.query("SELECT pg_notify('b', 'x')")
            #expect(await events.next() == .notification(PostgresNotification(channel: "b", payload: "x")))
            _ = try await pool.query(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                """)
            #expect(await events.next() == .connected)
            await pool.close()
        }
    }
}
