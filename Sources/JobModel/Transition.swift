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
    ///   - attempt: number of the attempt that ended, from 1.
    ///   - delay: seconds until the next one.
    package static func state(
        after ending: Ending, cancelRequested: Bool, attempt: Int, maximumAttempts: Int, delay: Double
    ) -> JobState {
        switch ending {
        case .succeeded: return .succeeded
        case .failed: return .failed
        case .cancelled: return .cancelled
        case .released: return cancelRequested ? .cancelled : .ready
        case .retry, .lost:
            if cancelRequested { return .cancelled }
            if attempt >= maximumAttempts { return .failed }
            return delay > 0 ? .scheduled : .ready
        }
    }
}
