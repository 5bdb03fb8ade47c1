// When waiting is over.

/// A point in time by a clock that nobody can set; so a changed wall clock neither shortens nor stretches a wait.
package struct Deadline: Sendable {
    private let instant: ContinuousClock.Instant?

    package static let never = Deadline(instant: nil)

    /// - Parameter seconds: from now; nil is never.
    package init(in seconds: Double?) {
        instant = seconds.map { ContinuousClock.now.advanced(by: .seconds($0)) }
    }

    private init(instant: ContinuousClock.Instant?) { self.instant = instant }

    /// This, or that many seconds from now, whichever comes first.
    package func within(_ seconds: Double) -> Deadline {
        let other = Deadline(in: seconds)
        guard let instant, let limit = other.instant, instant < limit else { return other }
        return self
    }

    package var isOver: Bool { instant.map { $0 <= .now } ?? false }

    /// What is left, for poll(2): rounded up, so that whoever waits that long finds it over; -1 is for ever.
    package var milliseconds: Int32 {
        guard let instant else { return -1 }
        let (seconds, attoseconds) = ContinuousClock.now.duration(to: instant).components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return Int32(min(seconds, 1_000_000)) * 1000 + Int32(attoseconds / 1_000_000_000_000_000) + 1
    }
}
