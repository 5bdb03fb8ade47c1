// The schema: up and down again, refusals that name the field, roles that can't reach further than they should.
import Foundation
import JSON
import JobMigrations
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite struct SchemaTests {
    @Test func goesUpDownAndUpAgain() async throws {
        try await TestDatabase.with(migrated: false) { database async throws in
            let migrator = Migrator(database.configuration)
            #expect(try await migrator.up().count == Migrations.all.count)
            #expect(try await migrator.up().isEmpty)
            #expect(try await migrator.down(to: 0).count == Migrations.all.count)
            #expect(try await migrator.status().allSatisfy { $0.state == .pending })
            #expect(try await migrator.up().count == Migrations.all.count)
            #expect(try await migrator.status().allSatisfy { $0.state == .applied })
        }
    }

    @Test func everythingHasAComment() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool()
            let silent = try await pool.query(
                """
                SELECT c.relname || coalesce('.' || a.attname, '') AS name
                FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'r'
                  AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)
                UNION ALL
                SELECT proname FROM pg_proc WHERE pronamespace = 'millrace'::regnamespace AND obj_description(oid) IS NULL
                """)
            #expect(try silent.map { try $0.get("name", as: String.self) } == [])
            await pool.close()
        }
    }

    @Test(arguments: [
        ("nosuch", "", #"{}"#, "kind:"), ("generate", "", #"{"prompt":"x"}"#, "model:"),
        ("generate", "other", #"{"prompt":"x"}"#, "model:"), ("generate", "m", #"[]"#, "input:"),
        ("generate", "m", #"{}"#, "input.prompt:"), ("generate", "m", #"{"prompt":""}"#, "input.prompt:"),
        ("generate", "m", #"{"prompt":1}"#, "input.prompt:"),
        ("generate", "m", #"{"prompt":"x","messages":[{"role":"user","content":"y"}]}"#, "input.messages:"),
        ("generate", "m", #"{"messages":[]}"#, "input.messages:"),
        ("generate", "m", #"{"messages":[{"content":"y"}]}"#, "input.messages[0].role:"),
        ("generate", "m", #"{"messages":[{"role":"user","content":5}]}"#, "input.messages[0].content:"),
        ("generate", "m", #"{"prompt":"x","max_tokens":0}"#, "input.max_tokens:"),
        ("generate", "m", #"{"prompt":"x","max_tokens":1.5}"#, "input.max_tokens:"),
        ("generate", "m", #"{"prompt":"x","max_tokens":1e9}"#, "input.max_tokens:"),
        ("generate", "m", #"{"prompt":"x","temperature":-1}"#, "input.temperature:"),
        ("generate", "m", #"{"prompt":"x","top_p":0}"#, "input.top_p:"),
        ("generate", "m", #"{"prompt":"x","stop":[""]}"#, "input.stop[0]:"),
        ("generate", "m", #"{"prompt":"x","logprobs":21}"#, "input.logprobs:"),
        ("generate", "m", #"{"prompt":"x","temprature":1}"#, "input.temprature:"),
        ("noop", "m", #"{}"#, "model:"),
    ])
    func badJobsAreRefusedWithTheirField(kind: String, model: String, input: String, field: String) async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool()
            let store = PostgresJobStore(pool: pool)
            try await store.register(
                RegisteredModel(
                    name: "m", digest: String(repeating: "a", count: 64), architecture: "llama", contextLength: 10,
                    uri: "/m", bytes: 1))
            let error = await #expect(throws: StoreError.self) {
                try await store.enqueue([
                    NewJob(kind: JobKind(rawValue: kind), model: model, input: try JSONValue(parsing: input))
                ])
            }
            guard case .refused(let message) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(message.hasPrefix(field), "\(message)")
            #expect(try await store.list(limit: 10).isEmpty)
            await pool.close()
        }
    }

    @Test func clientsSeeTheirOwnJobsOnly() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            let store = PostgresJobStore(pool: pool)
            let foreign = try await store.enqueue([NewJob(kind: .noop, input: [:])])[0]
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
