// Jobs that were handed in together.
import JSON
import JobModel
import PostgresClient

package typealias BatchID = Int64

package struct BatchSummary: Sendable, Equatable {
    package let id: BatchID
    package let name: String
    package let createdAt: String
    /// When all of its jobs were found ended.
    package let endedAt: String?
    /// Jobs in each state; states without one are missing.
    package let counts: [JobState: Int]

    package var total: Int { counts.values.reduce(0, +) }
    package var ended: Int { counts.filter(\.key.isFinal).values.reduce(0, +) }
}

extension PostgresJobStore {
    /// Inserts all jobs, or none, as one sealed batch.
    /// - Parameter next: more jobs, some thousands at most; nil at the end. What it throws undoes everything.
    package func submitBatch(name: String, _ next: () throws -> [NewJob]?) async throws -> BatchID {
        let result: Result<BatchID, any Error> = try await pool.withConnection { connection throws(PostgresError) in
            _ = try await connection.query("BEGIN")
            do {
                let id: BatchID = try await connection.query(BatchSQL.create, [name])[0].get("id")
                while var jobs = try next() {
                    for place in jobs.indices { jobs[place].batch = id }
                    _ = try await connection.query(EnqueueSQL.enqueue, EnqueueSQL.binds(jobs))
                }
                _ = try await connection.query(BatchSQL.seal, [id])
                _ = try await connection.query("COMMIT")
                return .success(id)
            } catch let error as PostgresError {
                _ = try? await connection.query("ROLLBACK")
                return .failure(StoreError(error, about: nil))
            } catch {
                _ = try? await connection.query("ROLLBACK")
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// nil when there is none that the caller may see.
    package func batch(_ id: BatchID) async throws(StoreError) -> BatchSummary? {
        try await query(BatchSQL.one, [id], BatchSQL.summary(_:)).first
    }

    /// Newest first.
    package func batches(before: BatchID? = nil, limit: Int) async throws(StoreError) -> [BatchSummary] {
        try await query(BatchSQL.list, [before, limit], BatchSQL.summary(_:))
    }

    /// In the order in which they were handed in.
    package func jobs(ofBatch id: BatchID) async throws(StoreError) -> [JobID] {
        try await query(BatchSQL.jobs, [id]) { row throws(PostgresError) in try row.get("id") }
    }

    /// Cancels what has not ended, a part at a time, so that no transaction is long.
    /// - Returns: how many jobs were cancelled, or told to stop.
    package func cancelBatch(_ id: BatchID) async throws(StoreError) -> Int {
        var (last, total): (JobID, Int) = (0, 0)
        while true {
            let step = try await query(BatchSQL.cancel, [id, last, 500]) { row throws(PostgresError) in
                (seen: try row.get("seen", as: Int.self), last: try row.optional("last_id", as: JobID.self))
            }[0]
            guard let next = step.last else { return total }
            last = next
            total += step.seen
        }
    }
}

enum BatchSQL {
    static let create: SQL = "SELECT millrace.create_batch($1) AS id"
    static let seal: SQL = "SELECT millrace.seal_batch($1)"
    static let cancel: SQL = "SELECT * FROM millrace.cancel_batch($1, $2, $3)"
    static let jobs: SQL = "SELECT id FROM millrace.jobs WHERE batch = $1 ORDER BY batch, id"

    static let one: SQL = """
        SELECT b.id, b.name, b.created_at, b.ended_at,
            (SELECT jsonb_object_agg(state, jobs) FROM millrace.batch_counts(b.id)) AS counts FROM millrace.batches b
        WHERE b.id = $1
        """

    static let list: SQL = """
        SELECT b.id, b.name, b.created_at, b.ended_at,
            (SELECT jsonb_object_agg(state, jobs) FROM millrace.batch_counts(b.id)) AS counts
        FROM (SELECT * FROM millrace.batches WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2) AS b
        ORDER BY b.id DESC
        """

    static func summary(_ row: PostgresRow) throws(PostgresError) -> BatchSummary {
        var counts: [JobState: Int] = [:]
        for (name, number) in try row.optional("counts", as: JSONValue.self)?.objectValue ?? [:] {
            if let state = JobState(rawValue: name) { counts[state] = number.intValue }
        }
        return BatchSummary(
            id: try row.get("id"), name: try row.get("name"), createdAt: try row.get("created_at"),
            endedAt: try row.optional("ended_at"), counts: counts)
    }
}
