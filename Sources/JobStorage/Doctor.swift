// What an operator should know of a database that works less well than it could, or soon will.
import Foundation
import JSON
import PostgresClient

/// Something that is wrong, and what may be done about it.
package struct Finding: Sendable, Equatable {
    package enum Severity: String, Sendable, CaseIterable {
        /// Worth a look.
        case warning
        /// Jobs don't run, or results could be lost.
        case error
    }

    package let severity: Severity
    /// Short name of the check.
    package let check: String
    package let finding: String
    package let advice: String

    package init(_ severity: Severity, _ check: String, _ finding: String, _ advice: String) {
        self.severity = severity
        self.check = check
        self.finding = finding
        self.advice = advice
    }
}

extension PostgresJobStore {
    /// All checks; none of them reads more than the hot tables and the statistics views.
    /// - Parameter patience: seconds that a transaction may stay open.
    /// - Returns: errors first.
    package func findings(patience: Double = 60) async throws(StoreError) -> [Finding] {
        var findings: [Finding] = []
        for (check, binds) in DoctorSQL.checks(patience) {
            findings += try await query(check, binds) { row throws(PostgresError) in
                let name = try row.get("severity", as: String.self)
                guard let severity = Finding.Severity(rawValue: name) else {
                    throw PostgresError(kind: .permanent, message: "column severity: unknown severity \(name)")
                }
                return Finding(severity, try row.get("topic"), try row.get("finding"), try row.get("advice"))
            }
        }
        if let skew = try await clockSkew(), abs(skew) > 5 {
            let way = skew > 0 ? "ahead of" : "behind"
            findings.append(
                Finding(
                    .warning, "clock", String(format: "this machine is %.0f s \(way) the database", abs(skew)),
                    "Millrace goes by the database's clock alone; times in logs differ. Set up NTP."))
        }
        return findings.filter { $0.severity == .error } + findings.filter { $0.severity != .error }
    }

    /// Seconds by which this machine's clock is ahead of the database's; nil when the answer took too long to tell.
    private func clockSkew() async throws(StoreError) -> Double? {
        let before = Date().timeIntervalSince1970
        let theirs: Double = try await query(DoctorSQL.time) { row throws(PostgresError) in try row.get("now") }[0]
        let after = Date().timeIntervalSince1970
        return after - before < 2 ? (before + after) / 2 - theirs : nil
    }
}
