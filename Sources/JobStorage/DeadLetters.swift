// Failed jobs, found by why and when they failed, and put in line again.
import JobModel
import PostgresClient

/// Which failed jobs; nil filters nothing.
package struct DeadLetterFilter: Sendable {
    package var queue: String?
    package var kind: String?
    /// Code of the error.
    package var code: String?
    /// Seconds before now.
    package var failedWithin: Double?

    package init(queue: String? = nil, kind: String? = nil, code: String? = nil, failedWithin: Double? = nil) {
        self.queue = queue
        self.kind = kind
        self.code = code
        self.failedWithin = failedWithin
    }
}

/// What one step of a redrive did.
package struct Redrive: Sendable, Equatable {
    /// Failed jobs that it looked at.
    package var seen: Int
    /// The last of them.
    package var last: JobID?
    /// Those that are in line again; another job has the key of the others.
    package var redriven: [JobID]

    package init(seen: Int, last: JobID?, redriven: [JobID]) {
        self.seen = seen
        self.last = last
        self.redriven = redriven
    }
}

extension PostgresJobStore {
    /// Newest first; `before` is the last id of the page before.
    package func deadLetters(
        _ filter: DeadLetterFilter, before: JobID? = nil, limit: Int
    ) async throws(StoreError) -> [Job] {
        try await query(DeadLetterSQL.list, DeadLetterSQL.binds(filter) + [before, limit], JobSQL.job(_:))
    }

    package func redrive(
        _ filter: DeadLetterFilter, after: JobID, maximum: Int
    ) async throws(StoreError) -> Redrive {
        try await query(DeadLetterSQL.redrive, DeadLetterSQL.binds(filter) + [after, maximum]) {
            row throws(PostgresError) in
            Redrive(seen: try row.get("seen"), last: try row.optional("last_id"), redriven: try row.get("redriven"))
        }[0]
    }
}

enum DeadLetterSQL {
    /// From the narrow table, which holds failed jobs alone.
    static let list: SQL = """
        SELECT j.* FROM millrace.dead_letters d JOIN millrace.jobs j ON j.id = d.job_id
        WHERE ($1::text IS NULL OR d.queue = $1) AND ($2::text IS NULL OR d.kind = $2) AND ($3::text IS NULL OR d.code = $3)
          AND ($4::float8 IS NULL OR d.failed_at >= clock_timestamp() - make_interval(secs => $4))
          AND ($5::bigint IS NULL OR d.job_id < $5)
        ORDER BY d.job_id DESC LIMIT $6
        """

    static let redrive: SQL = """
        SELECT * FROM millrace.redrive($1, $2, $3, clock_timestamp() - make_interval(secs => $4::float8), $5, $6)
        """

    static func binds(_ filter: DeadLetterFilter) -> [(any PostgresBindable)?] {
        [filter.queue, filter.kind, filter.code, filter.failedWithin]
    }
}
