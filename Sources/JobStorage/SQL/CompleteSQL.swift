// Ending attempts; the statement itself is the function millrace.complete.
import JSON
import JobModel
import PostgresClient

enum CompleteSQL {
    static let complete: SQL = "SELECT * FROM millrace.complete($1, $2, $3, $4, $5, $6, $7)"

    static func binds(_ completions: [Completion], _ backoff: Backoff) -> [(any PostgresBindable)?] {
        [
            completions.map(\.lease.id), completions.map(\.lease.runToken), completions.map(\.outcome.name),
            completions.map(\.outcome.result), completions.map { $0.outcome.failure?.json },
            completions.map(\.outcome.usage), completions.map { $0.delay(backoff) },
        ]
    }
}
