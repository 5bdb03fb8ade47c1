// The outbox, as the publisher reads it.
import JSON
import JobModel
import PostgresClient

enum OutboxSQL {
    /// The rows are locked while Redis takes them. A publisher whose machine is gone would keep them locked for as long as
    /// the server believes in the connection, by default two hours.
    static let begin: SQL = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '15s'"
    static let take: SQL = """
        SELECT seq, job_id, event FROM millrace.outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED
        """
    static let delete: SQL = "DELETE FROM millrace.outbox WHERE seq = ANY ($1::bigint[])"

    static func event(_ row: PostgresRow) throws(PostgresError) -> JobEvent {
        JobEvent(id: try row.get("job_id"), sequence: try row.get("seq"), event: try row.get("event"))
    }
}
