// How many tokens are enough to come from a state to the end.

/// For each state the number of tokens that spell its shortest end. The way is fixed: from every state on it the rest of it is
/// that state's own way. So whoever has `n` tokens left and needs `n` finds a token after which `n − 1` are enough.
struct TokenEnds: Sendable {
    /// More than any answer has. Sums of a few do not overflow.
    static let impossible: Int32 = 1 << 28
    /// Tokens from each state to the end of its rule.
    let counts: [Int32]

    init(_ automaton: Automaton, _ vocabulary: Vocabulary) {
        // A byte that is part of longer tokens only is a way of last resort.
        var weights = [Int32](repeating: ShortestEnds.unreachable, count: automaton.classCount)
        var representatives = [UInt8](repeating: 0, count: automaton.classCount)
        for byte in 0..<256 {
            let letter = Int(automaton.classes[byte])
            let weight: Int32 = vocabulary.isByteToken[byte] ? 1 : 64
            if weight < weights[letter] {
                weights[letter] = weight
                representatives[letter] = UInt8(byte)
            }
        }
        let ends = ShortestEnds(
            next: automaton.next, classCount: automaton.classCount,
            calls: automaton.calls.map { ($0.start, $0.target) }, callOffsets: automaton.callOffsets,
            isAccepting: automaton.traits.map { $0.contains(.end) }, weights: weights)
        var counts = [Int32](repeating: Self.impossible, count: automaton.stateCount)
        for state in ends.order {
            switch ends.steps[Int(state)] {
            case .end: counts[Int(state)] = 0
            case .call(let start, let target):
                counts[Int(state)] = min(Self.impossible, counts[Int(start)] + counts[Int(target)])
            case .letter:
                counts[Int(state)] = Self.tokens(from: state, ends, counts, vocabulary, representatives)
            }
        }
        self.counts = counts
    }

    /// One token for a run of bytes, then what is needed behind it. Rules that end at once don't interrupt a run.
    private static func tokens(
        from state: Int32, _ ends: ShortestEnds, _ counts: [Int32], _ vocabulary: Vocabulary, _ representatives: [UInt8]
    ) -> Int32 {
        var best = impossible
        var node = 0
        var state = state
        while true {
            switch ends.steps[Int(state)] {
            case .end: return best
            case .call(let start, let target):
                guard ends.lengths[Int(start)] == 0 else { return best }
                state = target
            case .letter(let letter, let target):
                guard let child = vocabulary.child(of: node, representatives[Int(letter)]) else { return best }
                node = child
                state = target
                if vocabulary.hasToken(node) { best = min(best, counts[Int(state)] + 1) }
            }
        }
    }
}
