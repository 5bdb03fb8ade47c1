// Reading jobs.
import JSON
import JobModel
import PostgresClient

enum JobSQL {
    static let job: SQL = "SELECT * FROM millrace.jobs WHERE id = $1"

    /// Newest first, by key set: page after page without an offset. NULL parameters filter nothing.
    static let list: SQL = """
        SELECT * FROM millrace.jobs
        WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR queue = $3)
          AND ($4::bigint IS NULL OR id < $4)
        ORDER BY id DESC LIMIT $5
        """

    /// States and what waiting needs to know, of many jobs at once.
    static let states: SQL = "SELECT id, state FROM millrace.jobs WHERE id = ANY ($1::bigint[])"

    static let progress: SQL = "SELECT progress FROM millrace.partials WHERE job_id = $1"

    static let attempts: SQL = """
        SELECT attempt, run_token, worker_id, outcome, error, finished_at,
            extract(epoch FROM finished_at - started_at)::float8 AS seconds
        FROM millrace.attempts WHERE job_id = $1 ORDER BY run_token
        """

    static func attempt(_ row: PostgresRow) throws(PostgresError) -> AttemptRecord {
        let name = try row.get("outcome", as: String.self)
        guard let ending = AttemptRecord.Ending(rawValue: name) else {
            throw PostgresError(kind: .permanent, message: "column outcome: unknown outcome \(name)")
        }
        return AttemptRecord(
            attempt: try row.get("attempt"), runToken: try row.get("run_token"), worker: try row.get("worker_id"),
            ending: ending, error: try row.optional("error"), finishedAt: try row.get("finished_at"),
            seconds: try row.get("seconds"))
    }

    static func retryPolicy(_ row: PostgresRow) throws(PostgresError) -> RetryPolicy {
        let name = try row.get("retry_policy", as: String.self)
        guard let kind = RetryPolicy.Kind(rawValue: name) else {
            throw PostgresError(kind: .permanent, message: "column retry_policy: unknown policy \(name)")
        }
        return RetryPolicy(kind, delay: try row.optional("retry_delay"))
    }

    static func job(_ row: PostgresRow) throws(PostgresError) -> Job {
        let name = try row.get("state", as: String.self)
        guard let state = JobState(rawValue: name) else {
            throw PostgresError(kind: .permanent, message: "column state: unknown state \(name)")
        }
        return Job(
            id: try row.get("id"), kind: JobKind(rawValue: try row.get("kind")), model: try row.get("model"),
            queue: try row.get("queue"), priority: try row.get("priority"), state: state,
            attempt: try row.get("attempt"), maximumAttempts: try row.get("max_attempts"),
            retryPolicy: try retryPolicy(row), failures: try row.get("failures"),
            workerDeaths: try row.get("worker_deaths"),
            maximumWorkerDeaths: try row.get("max_worker_deaths"),
            input: try row.get("input"), result: try row.optional("result"), error: try row.optional("error"),
            usage: try row.optional("usage"), tenant: try row.get("tenant"), metadata: try row.get("metadata"),
            createdAt: try row.get("created_at"), startedAt: try row.optional("started_at"),
            finishedAt: try row.optional("finished_at"), replayOf: try row.optional("replay_of"))
    }
}
