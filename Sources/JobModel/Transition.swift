// Which state follows which. Pure; the function millrace.state_after is the same rule in SQL, and the conformance suite
// runs both against the same cases.

package enum Transition {
    /// How an attempt ended, seen from the queue.
    package enum Ending: String, Sendable, CaseIterable {
        case succeeded, failed, cancelled, retry, released
        /// The worker died.
        case lost
    }

    /// State of a running job after its attempt.
    /// - Parameters:
    ///   - delay: seconds until the next one.
    ///   - job: as it ran; the death that is being settled counts already.
    package static func state(after ending: Ending, cancelRequested: Bool, delay: Double, job: Job) -> JobState {
        switch ending {
        case .succeeded: return .succeeded
        case .failed: return .failed
        case .cancelled: return .cancelled
        case _ where cancelRequested: return .cancelled
        case .lost where job.workerDeaths >= job.maximumWorkerDeaths: return .failed
        case .retry where job.retryPolicy.kind == .none || job.failures + 1 >= job.maximumAttempts: return .failed
        case .retry, .lost, .released: return delay > 0 ? .scheduled : .ready
        }
    }
}
