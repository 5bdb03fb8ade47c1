// When a failed attempt is tried again. Pure: the jitter is a function of the job and the attempt, so that two workers,
// and a test, compute the same.

/// Exponential waiting: `first · 2^(attempt − 1)`, at most `longest`, spread by ± `jitter` of itself.
package struct RetryPolicy: Sendable {
    package var first: Double
    package var longest: Double
    package var jitter: Double

    package init(first: Double = 2, longest: Double = 600, jitter: Double = 0.25) {
        self.first = first
        self.longest = longest
        self.jitter = jitter
    }

    /// Seconds to wait after this attempt, which is counted from 1.
    package func delay(job: JobID, attempt: Int) -> Double {
        let base = min(longest, first * Double(1 << min(max(attempt, 1) - 1, 30)))
        // splitmix64 of (job, attempt): uniform in [0, 1).
        var mixed = UInt64(bitPattern: job) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(attempt)
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        let uniform = Double((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53
        return base * (1 + jitter * (2 * uniform - 1))
    }
}
