import JobModel
import Testing

@Suite struct TransitionTests {
    /// Every ending with every combination of what can matter.
    @Test(arguments: Transition.Ending.allCases)
    func everyCase(ending: Transition.Ending) {
        var job = Job(
            id: 1, kind: .noop, model: "", queue: "q", priority: 0, state: .running, attempt: 1, maximumAttempts: 2,
            maximumWorkerDeaths: 2, input: [:], tenant: "", metadata: [:], createdAt: "")
        for (cancelRequested, delay) in [(false, 0.0), (false, 5), (true, 0), (true, 5)] {
            for (failures, deaths) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 2), (2, 3)] {
                for kind in RetryPolicy.Kind.allCases {
                    (job.failures, job.workerDeaths, job.retryPolicy) = (failures, deaths, RetryPolicy(kind))
                    let state = Transition.state(
                        after: ending, cancelRequested: cancelRequested, delay: delay, job: job)
                    let goesOn: JobState = cancelRequested ? .cancelled : delay > 0 ? .scheduled : .ready
                    let isUsedUp = !cancelRequested && (kind == .none || failures >= 1)
                    let isPoison = !cancelRequested && deaths >= 2
                    switch ending {
                    case .succeeded: #expect(state == .succeeded)
                    case .failed: #expect(state == .failed)
                    case .cancelled: #expect(state == .cancelled)
                    case .released: #expect(state == goesOn)
                    case .retry: #expect(state == (isUsedUp ? .failed : goesOn))
                    case .lost: #expect(state == (isPoison ? .failed : goesOn))
                    }
                }
            }
        }
    }

    @Test func waitingGrowsAndIsTheSameEachTime() {
        let policy = Backoff(first: 2, longest: 100, jitter: 0.25)
        for failure in 1...40 {
            let delay = policy.delay(job: 7, failure: failure)
            let base = min(100, 2 * Double(1 << min(failure - 1, 30)))
            #expect(delay >= base * 0.75 && delay <= base * 1.25)
            #expect(delay == policy.delay(job: 7, failure: failure))
        }
        #expect(policy.delay(job: 7, failure: 1) != policy.delay(job: 8, failure: 1))
        for failure in 1...40 {
            #expect(policy.delay(RetryPolicy(.fixed, delay: 7), job: 7, failure: failure) == 7)
            // A first wait that is longer than the longest stays as it was asked for.
            let long = policy.delay(RetryPolicy(delay: 200), job: 7, failure: failure)
            #expect(long >= 150 && long <= 250)
        }
    }
}
