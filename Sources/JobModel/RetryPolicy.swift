// When a failed attempt is tried again. Pure: the jitter is a function of the job and the failure, so that two workers,
// and a test, compute the same.

/// What a job says of the waits between its attempts: `millrace.jobs.retry_policy` and `retry_delay`.
package struct RetryPolicy: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// Each wait is twice the one before.
        case exponential
        case fixed
        /// The first failure is final.
        case none
    }

    package var kind: Kind
    /// Seconds of the first wait, or of each; nil leaves it to the backoff.
    package var delay: Double?

    package init(_ kind: Kind = .exponential, delay: Double? = nil) {
        self.kind = kind
        self.delay = delay
    }
}

/// How waits grow: `first · 2^(failure − 1)`, at most `longest`, spread by ± `jitter` of itself.
package struct Backoff: Sendable {
    package var first: Double
    package var longest: Double
    package var jitter: Double

    package init(first: Double = 2, longest: Double = 600, jitter: Double = 0.25) {
        self.first = first
        self.longest = longest
        self.jitter = jitter
    }

    /// Seconds to wait after this failure, which is counted from 1.
    package func delay(_ policy: RetryPolicy = RetryPolicy(), job: JobID, failure: Int) -> Double {
        let first = policy.delay ?? first
        if policy.kind != .exponential { return first }
        let base = min(max(first, longest), first * Double(1 << min(max(failure, 1) - 1, 30)))
        // splitmix64 of (job, failure): uniform in [0, 1).
        var mixed = UInt64(bitPattern: job) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(failure)
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        let uniform = Double((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53
        return base * (1 + jitter * (2 * uniform - 1))
    }
}
