// The schema: up, down and up again, the list of migrations, comments, roles that can't reach further than they should.
import Foundation
import JSON
import JobMigrations
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite struct SchemaTests {
    @Test func goesUpDownAndUpAgainToTheSameSchema() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let migrator = Migrator(database.configuration)
            #expect(try await SchemaDump.statements(database.configuration).isEmpty)
            #expect(try await migrator.up().count == Migrations.all.count)
            let schema = try await SchemaDump.statements(database.configuration)
            #expect(try await migrator.up().isEmpty)
            // Every way back and forth, not only the whole one.
            for (count, version) in ([0] + Migrations.all.map(\.version)).dropLast().enumerated().reversed() {
                #expect(try await migrator.down(to: version).count == Migrations.all.count - count)
                #expect(try await migrator.status().map(\.state).count { $0 == .applied } == count)
                #expect(try await migrator.up(to: version).isEmpty)
                #expect(try await migrator.up().count == Migrations.all.count - count)
                #expect(try await SchemaDump.statements(database.configuration) == schema, "down to \(version)")
            }
            #expect(try await migrator.down(to: 0).count == Migrations.all.count)
            #expect(try await SchemaDump.statements(database.configuration).isEmpty)
        }
    }

    @Test func theFolderAndTheEmbeddedListAreTheSame() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("migrations")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".sql") }
        func name(_ migration: Migration) -> String {
            String(repeating: "0", count: 4 - String(migration.version).count)
                + "\(migration.version)_\(migration.name)"
        }
        #expect(files.sorted() == Migrations.all.flatMap { ["\(name($0)).down.sql", "\(name($0)).up.sql"] })
        #expect(Migrations.all.map(\.version) == Set(Migrations.all.map(\.version)).sorted())
        for migration in Migrations.all {
            for (direction, text) in [("up", migration.up), ("down", migration.down)] {
                let file = folder.appendingPathComponent("\(name(migration)).\(direction).sql")
                #expect(try String(contentsOf: file, encoding: .utf8) == text)
            }
        }
    }

    @Test func aChangedMigrationIsNotBuiltUpon() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            _ = try await pool.query("UPDATE public.millrace_migrations SET checksum = 'other' WHERE version = 2")
            let error = await #expect(throws: PostgresError.self) { try await Migrator(database.configuration).up() }
            #expect(error?.message.hasPrefix("migration 2_insert was applied with another text") == true)
            await pool.close()
        }
    }

    /// What is dumped is the whole schema: loaded elsewhere, it gives the same dump, and jobs run in it.
    @Test func aDumpMakesTheSameSchemaAgain() async throws {
        try await TestDatabase.with { database async throws in
            let dump = try await SchemaDump.statements(database.configuration)
            for piece in [
                "CREATE TABLE millrace.jobs", "id bigint GENERATED ALWAYS AS IDENTITY NOT NULL",
                "CREATE INDEX ready_claim ON millrace.ready", "CREATE OR REPLACE FUNCTION millrace.claim(",
                "COMMENT ON COLUMN millrace.jobs.run_at IS", "COMMENT ON FUNCTION millrace.claim(",
                "GRANT EXECUTE ON FUNCTION millrace.cancel(bigint) TO millrace_client",
                "GRANT INSERT (kind, model, input, queue, priority, run_at, max_attempts, deadline, unique_key, tenant, metadata, retry_policy, retry_delay, max_worker_deaths, limit_key, depends_on, on_dependency_failure, batch, cache) ON millrace.jobs TO millrace_client",
                "CREATE POLICY own_jobs ON millrace.jobs", "CREATE TRIGGER after_insert",
                "CREATE SEQUENCE millrace.run_tokens",
            ] {
                #expect(dump.contains { $0.contains(piece) }, "\(piece)")
            }
            try await TestDatabase.with(migrated: false) { copy async throws in
                let connection = try await PostgresConnection.connect(copy.configuration)
                try await connection.script(SQL(trusted: dump.joined(separator: ";\n")))
                await connection.close()
                #expect(try await SchemaDump.statements(copy.configuration) == dump)
                let pool = copy.pool(1)
                let store = PostgresJobStore(pool: pool)
                _ = try await pool.query("INSERT INTO millrace.kinds VALUES ('noop', false)")
                let id = try await store.enqueueOne()
                let lease = try await store.claim(try await store.worker(), 1)[0]
                #expect(try await store.complete(lease, .done) == .succeeded)
                #expect(try await store.takeEvents().map(\.id) == [id])
                await pool.close()
            }
        }
    }

    @Test func everythingHasAComment() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            let silent = try await pool.query(
                """
                SELECT c.relname || coalesce('.' || a.attname, '') AS name
                FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind IN ('r', 'v')
                  AND (obj_description(c.oid) IS NULL OR c.relkind = 'r' AND col_description(c.oid, a.attnum) IS NULL)
                UNION ALL
                SELECT proname FROM pg_proc WHERE pronamespace = 'millrace'::regnamespace AND obj_description(oid) IS NULL
                """)
            #expect(try silent.map { try $0.get("name", as: String.self) } == [])
            await pool.close()
        }
    }

    @Test func clientsSeeTheirOwnJobsOnly() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            let store = PostgresJobStore(pool: pool)
            let foreign = try await store.enqueueOne()
            let connection = try await PostgresConnection.connect(database.configuration)
            let role = "client_" + database.name
            try await connection.script(
                SQL(
                    trusted:
                        "CREATE ROLE \(role); GRANT millrace_client TO \(role); SET SESSION AUTHORIZATION \(role)"))
            let own = try await connection.query(
                "INSERT INTO millrace.jobs (kind, input) VALUES ('noop', '{}') RETURNING id")
            let id = try own[0].get("id", as: JobID.self)
            let seen = try await connection.query("SELECT id FROM millrace.jobs")
            #expect(try seen.map { try $0.get("id", as: JobID.self) } == [id])
            for statement: SQL in [
                "SELECT * FROM millrace.ready", "SELECT * FROM millrace.outbox", "DELETE FROM millrace.jobs",
                "UPDATE millrace.jobs SET state = 'failed'",
                "INSERT INTO millrace.jobs (kind, input, state) VALUES ('noop', '{}', 'failed')",
                "SELECT millrace.rescue(1)", "SELECT millrace.settle('{}')",
                "SELECT millrace.hand_back_unknown('00000000-0000-0000-0000-000000000000', '{}')",
            ] {
                let isRefused = await Self.refuses(connection, statement)
                #expect(isRefused, "\(statement.text)")
            }
            let isForeignRefused = await Self.refuses(connection, "SELECT millrace.cancel($1)", [foreign])
            #expect(isForeignRefused)
            let cancelled = try await connection.query("SELECT millrace.cancel($1) AS state", [id])
            #expect(try cancelled[0].get("state", as: String.self) == "cancelled")
            try await connection.script("RESET SESSION AUTHORIZATION")
            try await connection.script(SQL(trusted: "DROP OWNED BY \(role); DROP ROLE \(role)"))
            await connection.close()
            await pool.close()
        }
    }

    private static func refuses(
        _ connection: PostgresConnection, _ statement: SQL, _ binds: [(any PostgresBindable)?] = []
    ) async -> Bool {
        do {
            _ = try await connection.query(statement, binds)
            return false
        } catch {
            return true
        }
    }
}
