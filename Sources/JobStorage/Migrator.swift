// Brings the schema to the version that the program carries, or back.
import JobMigrations
import PostgresClient

/// Each migration runs in a transaction of its own; an advisory lock keeps two migrators apart.
package struct Migrator: Sendable {
    package struct Status: Sendable, Equatable {
        package enum State: String, Sendable {
            case applied, pending
            /// Applied, but with another text than the program carries.
            case changed
            /// Applied by a newer program.
            case unknown
        }
        package let version: Int
        package let name: String
        package let state: State
        package let appliedAt: String?
    }

    private let configuration: PostgresConfiguration

    /// A migration takes as long as it takes.
    package init(_ configuration: PostgresConfiguration) { self.configuration = configuration.timeouts(answer: nil) }

    package func status() async throws(PostgresError) -> [Status] {
        try await withLock { connection throws(PostgresError) in try await status(connection) }
    }

    /// Applies what is pending, up to and with `target` (nil: all).
    /// - Returns: what was applied.
    package func up(to target: Int? = nil) async throws(PostgresError) -> [Migration] {
        try await withLock { connection throws(PostgresError) in
            let states = try await status(connection)
            if let changed = states.first(where: { $0.state == .changed }) {
                throw PostgresError(
                    kind: .permanent,
                    message:
                        """
                        migration \(changed.version)_\(changed.name) was applied with another text; nothing was done \
                        ('jobctl migrate down --to \(changed.version - 1)' takes it back, with the data that it holds)
                        """)
            }
            let pending = Set(states.filter { $0.state == .pending }.map(\.version))
            let steps = Migrations.all.filter { pending.contains($0.version) && $0.version <= target ?? .max }
            for step in steps {
                try await run(connection, step.up) { connection throws(PostgresError) in
                    _ = try await connection.query(Self.record, [step.version, step.name, step.up])
                }
            }
            return steps
        }
    }

    /// Takes back what is above `target`, newest first.
    /// - Returns: what was taken back.
    package func down(to target: Int) async throws(PostgresError) -> [Migration] {
        try await withLock { connection throws(PostgresError) in
            let applied = Set(try await status(connection).filter { $0.state != .pending }.map(\.version))
            let steps = Migrations.all.filter { applied.contains($0.version) && $0.version > target }.reversed()
            for step in steps {
                try await run(connection, step.down) { connection throws(PostgresError) in
                    _ = try await connection.query(Self.forget, [step.version])
                }
            }
            return Array(steps)
        }
    }

    // MARK: Steps

    private func run(
        _ connection: PostgresConnection, _ text: String,
        _ note: (PostgresConnection) async throws(PostgresError) -> Void
    ) async throws(PostgresError) {
        try await connection.transaction { connection throws(PostgresError) in
            try await connection.script(SQL(trusted: text))
            try await note(connection)
        }
    }

    private func status(_ connection: PostgresConnection) async throws(PostgresError) -> [Status] {
        let names = Migrations.all.map(\.name)
        let rows = try await connection.query(
            Self.compare, [Migrations.all.map(\.version), names, Migrations.all.map(\.up)])
        var states: [Status] = []
        for row in rows {
            let state = Status.State(rawValue: try row.get("state")) ?? .unknown
            states.append(
                Status(
                    version: try row.get("version"), name: try row.get("name"), state: state,
                    appliedAt: try row.optional("applied_at")))
        }
        return states
    }

    private func withLock<Value: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        let connection = try await PostgresConnection.connect(configuration)
        do throws(PostgresError) {
            _ = try await connection.query(Self.lock)
            try await connection.script(Self.createTable)
            let value = try await body(connection)
            // The session's lock goes with the session.
            await connection.close()
            return value
        } catch {
            await connection.close()
            throw error
        }
    }

    // MARK: Statements

    /// The number is "millrace" in ASCII. The only advisory lock of Millrace, and none on a hot path.
    private static let lock: SQL = "SELECT pg_advisory_lock(7883957379837814629)"

    private static let createTable: SQL = """
        SET client_min_messages = warning;
        CREATE TABLE IF NOT EXISTS public.millrace_migrations (
            version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
        COMMENT ON TABLE public.millrace_migrations IS 'Which migrations of Millrace were applied; outside of its schema, so that the first one can be taken back, too.'
        """
    private static let record: SQL = """
        INSERT INTO public.millrace_migrations (version, name, checksum) VALUES ($1, $2, md5($3))
        """
    private static let forget: SQL = "DELETE FROM public.millrace_migrations WHERE version = $1"

    private static let compare: SQL = """
        SELECT coalesce(ours.version, theirs.version) AS version, coalesce(ours.name, theirs.name) AS name, applied_at,
            CASE WHEN ours.version IS NULL THEN 'unknown' WHEN theirs.version IS NULL THEN 'pending'
                 WHEN theirs.checksum <> md5(ours.up) THEN 'changed' ELSE 'applied' END AS state
        FROM unnest($1::integer[], $2::text[], $3::text[]) AS ours (version, name, up)
        FULL JOIN public.millrace_migrations theirs ON theirs.version = ours.version
        ORDER BY 1
        """
}
