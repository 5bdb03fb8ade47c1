// Claiming; the statement itself is the function millrace.claim.
import JSON
import JobModel
import PostgresClient

enum ClaimSQL {
    static let claim: SQL = "SELECT * FROM millrace.claim($1, $2, $3, $4, $5)"

    static func lease(_ row: PostgresRow) throws(PostgresError) -> Lease {
        Lease(
            id: try row.get("job_id"), runToken: try row.get("run_token"), kind: JobKind(rawValue: try row.get("kind")),
            model: try row.get("model"), input: try row.get("input"), queue: try row.get("queue"),
            priority: try row.get("priority"), attempt: try row.get("attempt"),
            maximumAttempts: try row.get("max_attempts"), retryPolicy: try JobSQL.retryPolicy(row),
            failures: try row.get("failures"),
            tenant: try row.get("tenant"),
            createdAt: try row.get("created_at"), progress: try row.optional("progress"))
    }
}
