// Contradictions between the tables of the queue.
import JobModel
import PostgresClient

package struct QueueFault: Sendable, CustomStringConvertible {
    package var job: JobID
    package var fault: String
    package var description: String { "job \(job): \(fault)" }
}

extension PostgresJobStore {
    /// Empty when all is well. Reads all jobs; work may go on meanwhile.
    package func faults() async throws(StoreError) -> [QueueFault] {
        try await query("SELECT job_id, fault FROM millrace.fsck() ORDER BY job_id, fault") {
            row throws(PostgresError) in
            QueueFault(job: try row.get("job_id"), fault: try row.get("fault"))
        }
    }
}
