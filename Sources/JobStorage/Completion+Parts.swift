// What an outcome says, part by part, as stores keep it.
import JSON
import JobModel

extension Outcome {
    var result: JSONValue? {
        switch self {
        case .succeeded(let result, _): result
        case .cancelled(let result, _): result
        case .failed, .retry, .released: nil
        }
    }

    var usage: JSONValue? {
        switch self {
        case .succeeded(_, let usage), .cancelled(_, let usage): usage
        case .failed, .retry, .released: nil
        }
    }

    var failure: JobFailure? {
        switch self {
        case .failed(let failure), .retry(let failure, _): failure
        case .succeeded, .cancelled, .released: nil
        }
    }

    var ending: Transition.Ending {
        switch self {
        case .succeeded: .succeeded
        case .failed: .failed
        case .cancelled: .cancelled
        case .retry: .retry
        case .released: .released
        }
    }
}

extension Completion {
    /// Seconds until the next attempt.
    func delay(_ backoff: Backoff) -> Double {
        switch outcome {
        case .retry(_, let after):
            after ?? backoff.delay(lease.retryPolicy, job: lease.id, failure: lease.failures + 1)
        case .released(let after): after
        case .succeeded, .failed, .cancelled: 0
        }
    }
}
