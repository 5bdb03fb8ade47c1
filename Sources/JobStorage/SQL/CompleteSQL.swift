// Ending attempts; the statement itself is the function millrace.complete.
import JSON
import JobModel
import PostgresClient

enum CompleteSQL {
    static let complete: SQL = "SELECT * FROM millrace.complete($1, $2, $3, $4, $5, $6, $7)"

    static func binds(_ completions: [Completion], _ policy: RetryPolicy) -> [(any PostgresBindable)?] {
        var results: [JSONValue?] = []
        var errors: [JSONValue?] = []
        var usages: [JSONValue?] = []
        var delays: [Double] = []
        for completion in completions {
            var (result, error, usage, delay): (JSONValue?, JSONValue?, JSONValue?, Double) = (nil, nil, nil, 0)
            switch completion.outcome {
            case .succeeded(let value, let work): (result, usage) = (value, work)
            case .cancelled(let value, let work): (result, usage) = (value, work)
            case .failed(let failure): error = failure.json
            case .retry(let failure, let after):
                error = failure.json
                delay = after ?? policy.delay(job: completion.lease.id, attempt: completion.lease.attempt)
            case .released: break
            }
            results.append(result)
            errors.append(error)
            usages.append(usage)
            delays.append(delay)
        }
        return [
            completions.map(\.lease.id), completions.map(\.lease.runToken), completions.map(\.outcome.name), results,
            errors, usages, delays,
        ]
    }
}
