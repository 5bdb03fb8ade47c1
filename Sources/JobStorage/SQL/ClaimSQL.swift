// Claiming; the statement itself is the function millrace.claim.
import JSON
import JobModel
import PostgresClient

enum ClaimSQL {
    static let claim: SQL = "SELECT * FROM millrace.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

    static let joinFlights: SQL = "SELECT millrace.join_flights($1, $2) AS job_id"

    static func binds(_ request: ClaimRequest) -> [(any PostgresBindable)?] {
        let hot = request.affinity?.hotPrefixes ?? []
        return [
            request.worker, request.queues, request.kinds.map(\.rawValue), request.models, request.maximum,
            request.affinity?.busyModels ?? request.models, request.affinity?.idleModels ?? [],
            request.affinity?.places ?? 0, hot.map(\.model), hot.map(\.chain),
        ]
    }

    static func lease(_ row: PostgresRow) throws(PostgresError) -> Lease {
        Lease(
            id: try row.get("job_id"), runToken: try row.get("run_token"), kind: JobKind(rawValue: try row.get("kind")),
            model: try row.get("model"), input: try row.get("input"), queue: try row.get("queue"),
            priority: try row.get("priority"), attempt: try row.get("attempt"),
            maximumAttempts: try row.get("max_attempts"), retryPolicy: try JobSQL.retryPolicy(row),
            failures: try row.get("failures"),
            tenant: try row.get("tenant"),
            createdAt: try row.get("created_at"), prefix: try row.optional("prefix"),
            progress: try row.optional("progress"))
    }
}
