// Waiting times between attempts to reach a server.

/// Exponential with full jitter: many clients that lost the same server come back spread out.
package struct Backoff: Sendable {
    private let first: Double
    private let longest: Double
    private var attempt = 0

    package init(first: Double = 0.1, longest: Double = 5) {
        self.first = first
        self.longest = longest
    }

    /// Seconds to wait before the next attempt.
    package mutating func next() -> Double {
        let bound = min(longest, first * Double(1 << min(attempt, 16)))
        attempt += 1
        return Double.random(in: bound / 2...bound)
    }

    package mutating func reset() { attempt = 0 }
}
