// How far to guess ahead.

/// How many tokens to guess for one sequence: more while guesses come true, none for a while when they don't.
struct DraftPace {
    private static let longest = 16
    private static let longestPause = 32
    private var length = 2
    private var pause = 0
    private var nextPause = 1

    /// To be asked once a step.
    mutating func next() -> Int {
        if pause == 0 { return length }
        pause -= 1
        return 0
    }

    mutating func learn(drafted: Int, accepted: Int) {
        if accepted == drafted {
            length = min(2 * length, Self.longest)
            nextPause = 1
        } else if accepted > 0 {
            length = accepted + 1
            nextPause = 1
        } else {
            length = 2
            pause = nextPause
            nextPause = min(2 * nextPause, Self.longestPause)
        }
    }
}
