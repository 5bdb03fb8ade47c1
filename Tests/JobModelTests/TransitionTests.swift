import JobModel
import Testing

@Suite struct TransitionTests {
    /// Every ending with every combination of what can matter.
    @Test(arguments: Transition.Ending.allCases)
    func everyCase(ending: Transition.Ending) {
        for cancelRequested in [false, true] {
            for attempt in 1...3 {
                for delay in [0.0, 5.0] {
                    let state = Transition.state(
                        after: ending, cancelRequested: cancelRequested, attempt: attempt, maximumAttempts: 2,
                        delay: delay)
                    switch ending {
                    case .succeeded: #expect(state == .succeeded)
                    case .failed: #expect(state == .failed)
                    case .cancelled: #expect(state == .cancelled)
                    case .released: #expect(state == (cancelRequested ? .cancelled : .ready))
                    case .retry, .lost:
                        let expected: JobState =
                            cancelRequested ? .cancelled : attempt >= 2 ? .failed : delay > 0 ? .scheduled : .ready
                        #expect(state == expected)
                    }
                }
            }
        }
    }

    @Test func waitingGrowsAndIsTheSameEachTime() {
        let policy = RetryPolicy(first: 2, longest: 100, jitter: 0.25)
        for attempt in 1...40 {
            let delay = policy.delay(job: 7, attempt: attempt)
            let base = min(100, 2 * Double(1 << min(attempt - 1, 30)))
            #expect(delay >= base * 0.75 && delay <= base * 1.25)
            #expect(delay == policy.delay(job: 7, attempt: attempt))
        }
        #expect(policy.delay(job: 7, attempt: 1) != policy.delay(job: 8, attempt: 1))
    }
}
