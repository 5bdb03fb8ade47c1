// How fast jobs may begin.
import JSON
import JobModel
import PostgresClient

/// A token bucket that jobs take from when they begin.
package struct JobRate: Sendable, Equatable {
    package enum Unit: String, Sendable, CaseIterable { case jobs, tokens }

    package var scope: RunLimit.Scope
    /// 1 to 200 characters.
    package var name: String
    package var unit: Unit
    /// More than 0, at most 10⁹.
    package var perSecond: Double
    /// What the bucket holds, 1 to 10¹².
    package var burst: Double

    package init(_ scope: RunLimit.Scope, _ name: String, _ unit: Unit, perSecond: Double, burst: Double) {
        self.scope = scope
        self.name = name
        self.unit = unit
        self.perSecond = perSecond
        self.burst = burst
    }
}

package struct RateSummary: Sendable, Equatable {
    package var rate: JobRate
    /// What is in the bucket; negative when jobs cost more than was there.
    package var level: Double

    package init(rate: JobRate, level: Double) {
        self.rate = rate
        self.level = level
    }
}

extension PostgresJobStore {
    package func setRate(_ rate: JobRate) async throws(StoreError) {
        try await execute(
            RateSQL.set, [rate.scope.rawValue, rate.name, rate.unit.rawValue, rate.perSecond, rate.burst])
    }

    package func removeRate(
        _ scope: RunLimit.Scope, _ name: String, _ unit: JobRate.Unit
    ) async throws(StoreError) -> Bool {
        try await query(RateSQL.remove, [scope.rawValue, name, unit.rawValue]) { row throws(PostgresError) in
            try row.get("removed")
        }[0]
    }

    package func rates() async throws(StoreError) -> [RateSummary] {
        try await query(RateSQL.rates) { row throws(PostgresError) in
            RateSummary(
                rate: JobRate(
                    RunLimit.Scope(rawValue: try row.get("scope")) ?? .key, try row.get("name"),
                    JobRate.Unit(rawValue: try row.get("unit")) ?? .jobs,
                    perSecond: try row.get("per_second"), burst: try row.get("burst")),
                level: try row.get("level"))
        }
    }
}

enum RateSQL {
    static let set: SQL = "SELECT millrace.set_rate($1, $2, $3, $4, $5)"
    static let remove: SQL = "SELECT millrace.remove_rate($1, $2, $3) AS removed"
    static let rates: SQL = """
        SELECT t.scope, t.name, t.unit, t.per_second, t.burst, millrace.level(t) AS level
        FROM millrace.rates t ORDER BY t.scope, t.name, t.unit
        """
}
