// History: attempts of a job that brought no result.
import JSON
import JobModel

/// A row of `millrace.attempts`.
package struct AttemptRecord: Sendable, Equatable {
    package enum Ending: String, Sendable, CaseIterable {
        case retried, failed
        /// Its worker died.
        case lost
        /// Handed back, not counted.
        case released
    }

    package var attempt: Int
    package var runToken: RunToken
    package var worker: WorkerID
    package var ending: Ending
    package var error: JSONValue?

    package init(attempt: Int, runToken: RunToken, worker: WorkerID, ending: Ending, error: JSONValue?) {
        self.attempt = attempt
        self.runToken = runToken
        self.worker = worker
        self.ending = ending
        self.error = error
    }
}
