// A worker's other statements.
import JobModel
import PostgresClient

package enum WorkerSQL {
    static let register: SQL = "SELECT millrace.register_worker($1, $2, $3, $4, $5)"
    /// Also sent by the heartbeat's own thread.
    package static let beat: SQL = "SELECT * FROM millrace.beat($1, $2)"
    static let unregister: SQL = "SELECT millrace.unregister_worker($1)"
    static let handBack: SQL = "SELECT millrace.hand_back_unknown($1, $2) AS job_id"
    static let report: SQL = "SELECT * FROM millrace.report_progress($1, $2, $3)"
    static let maintain: SQL = """
        SELECT millrace.rescue($1) AS rescued, millrace.promote($1) AS promoted, millrace.expire($1) AS expired,
            millrace.settle_dependencies(1000), millrace.end_batches(100), millrace.use_free_slots(),
            millrace.use_rates(), millrace.tend_flights($1)
        """

    package static func pulse(_ row: PostgresRow) throws(PostgresError) -> Pulse {
        Pulse(isAlive: try row.get("is_alive"), cancelled: try row.get("cancelled"))
    }
}

enum ClientSQL {
    static let cancel: SQL = "SELECT millrace.cancel($1) AS state"
    static let retry: SQL = "SELECT millrace.retry($1) AS state"
    static let replay: SQL = "SELECT millrace.replay($1) AS id"
}
