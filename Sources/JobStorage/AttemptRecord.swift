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
    /// As PostgreSQL prints it in ISO form with the time zone.
    package var finishedAt: String
    /// From the claim to the end.
    package var seconds: Double

    package init(
        attempt: Int, runToken: RunToken, worker: WorkerID, ending: Ending, error: JSONValue?, finishedAt: String,
        seconds: Double
    ) {
        self.attempt = attempt
        self.runToken = runToken
        self.worker = worker
        self.ending = ending
        self.error = error
        self.finishedAt = finishedAt
        self.seconds = seconds
    }
}
