// Time for measuring. Never part of a decision.
import Foundation

enum Clock {
    /// Nanoseconds of a clock that only goes forward.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Tokens per second over the recent past: an average whose weight falls by e every two seconds of work.
struct TokenRate {
    private(set) var tokensPerSecond = 0.0
    private var weight = 0.0

    mutating func add(tokens: Int, nanoseconds: UInt64) {
        let seconds = max(1e-9, Double(nanoseconds) * 1e-9)
        let share = 1 - exp(-seconds / 2)
        weight += share * (1 - weight)
        tokensPerSecond += share / weight * (Double(tokens) / seconds - tokensPerSecond)
    }
}
