// What the tables of the queue may never say together.
import PostgresClient

enum Contradictions {
    static func all(in pool: PostgresPool) async throws -> [String] {
        try await pool.query(statement).map { try $0.get("fault", as: String.self) }
    }

    /// A job stands in exactly the hot table of its state; nothing of a job that ended is left over.
    private static let statement: SQL = """
        SELECT 'job ' || id || ' is ' || state || ', not where it belongs' AS fault FROM millrace.jobs j
        WHERE (state = 'ready') <> EXISTS (SELECT FROM millrace.ready WHERE job_id = j.id)
           OR (state = 'scheduled') <> EXISTS (SELECT FROM millrace.scheduled WHERE job_id = j.id)
           OR (state = 'running') <> EXISTS (SELECT FROM millrace.leases WHERE job_id = j.id)
           OR (finished_at IS NOT NULL) AND (
                EXISTS (SELECT FROM millrace.partials WHERE job_id = j.id)
                OR EXISTS (SELECT FROM millrace.unique_keys WHERE job_id = j.id)
                OR EXISTS (SELECT FROM millrace.deadlines WHERE job_id = j.id))
           OR (state = 'failed') <> EXISTS (SELECT FROM millrace.dead_letters WHERE job_id = j.id)
        UNION ALL
        SELECT 'lease ' || run_token || ' belongs to nobody' FROM millrace.leases l
        WHERE NOT EXISTS (SELECT FROM millrace.workers WHERE id = l.worker_id)
        """
}
