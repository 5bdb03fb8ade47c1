// How an attempt ended.
import JSON

/// Why a job could not be done, as stored in `millrace.jobs.error`.
package struct JobFailure: Error, Sendable, Equatable {
    /// For programs: `invalid_input`, `model_unavailable`, `engine`, …
    package var code: String
    /// For people; begins with the field's name when a field is wrong.
    package var message: String
    package var field: String?

    package init(code: String, message: String, field: String? = nil) {
        self.code = code
        self.message = message
        self.field = field
    }

    package var json: JSONValue {
        var members: JSONValue = ["code": .string(code), "message": .string(message)]
        if let field { members = ["code": .string(code), "field": .string(field), "message": .string(message)] }
        return members
    }
}

package enum Outcome: Sendable, Equatable {
    case succeeded(result: JSONValue, usage: JSONValue?)
    /// Trying again would bring the same.
    case failed(JobFailure)
    /// May go better next time; `after` in seconds overrides the policy.
    case retry(JobFailure, after: Double?)
    /// Stopped at a client's wish; `result` is what there was.
    case cancelled(result: JSONValue?, usage: JSONValue?)
    /// Handed back unfinished, to be run `after` so many seconds; the attempt doesn't count.
    case released(after: Double = 0)

    /// As `millrace.complete` takes it.
    package var name: String {
        switch self {
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .retry: "retry"
        case .cancelled: "cancelled"
        case .released: "released"
        }
    }
}

/// An outcome with the lease that entitles to report it.
package struct Completion: Sendable, Equatable {
    package var lease: Lease
    package var outcome: Outcome

    package init(lease: Lease, outcome: Outcome) {
        self.lease = lease
        self.outcome = outcome
    }
}
