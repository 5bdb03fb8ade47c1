// The outbox, as the publisher reads it.
import JSON
import JobModel
import PostgresClient

enum OutboxSQL {
    static let take: SQL = """
        SELECT seq, job_id, event FROM millrace.outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED
        """
    static let delete: SQL = "DELETE FROM millrace.outbox WHERE seq = ANY ($1::bigint[])"

    static func event(_ row: PostgresRow) throws(PostgresError) -> JobEvent {
        JobEvent(id: try row.get("job_id"), sequence: try row.get("seq"), event: try row.get("event"))
    }
}
