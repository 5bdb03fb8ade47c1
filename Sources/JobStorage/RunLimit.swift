// How many jobs may run at a time.
import PostgresClient

/// A limit of jobs that run at the same time.
package struct RunLimit: Sendable, Equatable {
    /// Of what the name is: a job's `queue`, `tenant` or `limit_key`.
    package enum Scope: String, Sendable, CaseIterable { case queue, tenant, key }

    package var scope: Scope
    /// 1 to 200 characters.
    package var name: String
    /// 0: none may run.
    package var running: Int

    package init(_ scope: Scope, _ name: String, running: Int) {
        self.scope = scope
        self.name = name
        self.running = running
    }
}

package struct LimitSummary: Sendable, Equatable {
    package var limit: RunLimit
    /// Jobs that run under it.
    package var used: Int

    package init(limit: RunLimit, used: Int) {
        self.limit = limit
        self.used = used
    }
}

extension PostgresJobStore {
    package func setLimit(_ limit: RunLimit) async throws(StoreError) {
        try await execute(LimitSQL.set, [limit.scope.rawValue, limit.name, limit.running])
    }

    package func removeLimit(_ scope: RunLimit.Scope, _ name: String) async throws(StoreError) -> Bool {
        try await query(LimitSQL.remove, [scope.rawValue, name]) { row throws(PostgresError) in
            try row.get("removed")
        }[0]
    }

    package func limits() async throws(StoreError) -> [LimitSummary] {
        try await query(LimitSQL.limits) { row throws(PostgresError) in
            let scope = RunLimit.Scope(rawValue: try row.get("scope"))
            return LimitSummary(
                limit: RunLimit(scope ?? .key, try row.get("name"), running: try row.get("running")),
                used: try row.get("used"))
        }
    }
}

enum LimitSQL {
    static let set: SQL = "SELECT millrace.set_limit($1, $2, $3)"
    static let remove: SQL = "SELECT millrace.remove_limit($1, $2) AS removed"
    static let limits: SQL = """
        SELECT l.scope, l.name, l.running,
            (SELECT count(*) FROM millrace.slots s WHERE s.scope = l.scope AND s.name = l.name) AS used
        FROM millrace.limits l ORDER BY l.scope, l.name
        """
}
