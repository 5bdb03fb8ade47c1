// Follows one answer through its constraint.

/// The state depends on the tokens alone: whoever replays them has the same masks. Not shared between answers.
package final class ConstraintMatcher {
    package let constraint: TokenConstraint
    private var reader: Reader
    private var levels: [WalkLevel]
    private var ignoredExits: [Int32] = []
    private var isAtBeginning = true
    private var compactAbove = 1024

    package init(_ constraint: TokenConstraint) {
        self.constraint = constraint
        reader = Reader(constraint.automaton, constraint.ends)
        reader.begin(constraint.automaton.root)
        levels = Array(repeating: WalkLevel(), count: constraint.vocabulary.maximumDepth + 2)
        isSatisfied = reader.isAtEnd
    }

    /// The text so far satisfies the constraint.
    package private(set) var isSatisfied: Bool

    /// Nothing can follow the text so far.
    package var isComplete: Bool { isSatisfied && reader.configurations.isEmpty }

    /// Tokens that are enough to satisfy the constraint from here; 0 when it is satisfied.
    package var neededTokens: Int { isSatisfied ? 0 : Int(reader.need(from: 0)) }

    /// Takes the next token. False when the constraint does not allow it; nothing may follow then.
    package func accept(_ token: Int32) -> Bool {
        let spelling = constraint.vocabulary.spelling(of: token)
        if spelling.isEmpty || (isAtBeginning && isStripped(spelling)) { return false }
        isAtBeginning = false
        for byte in spelling where !reader.take(byte) { return false }
        isSatisfied = reader.isAtEnd
        if reader.arena.count > compactAbove {
            reader.compact()
            compactAbove = max(1024, 2 * reader.arena.count)
        }
        return true
    }

    /// Sets the bits of the tokens that may come next, and no others.
    /// - Parameters:
    ///   - remaining: tokens that may still come, this one counted. After an allowed token the rest of them is enough to
    ///     satisfy the constraint.
    ///   - words: `Vocabulary.maskWords` of them.
    package func fillMask(_ words: UnsafeMutablePointer<UInt64>, remaining: Int) {
        let vocabulary = constraint.vocabulary
        words.update(repeating: 0, count: vocabulary.maskWords)
        let limit = Int32(clamping: min(remaining - 1, Int(TokenEnds.impossible) - 1))
        let isSatisfied = isSatisfied
        let (count, stacks) = (reader.configurations.count, reader.arena.count)
        for index in 0..<count {
            let configuration = reader.configurations[index]
            let below = reader.arena.need(configuration.stack)
            guard limit >= below else { continue }
            let mask = constraint.mask(configuration.state, limit: limit - below)
            mask.add(to: words)
            if mask.exits.isEmpty || configuration.stack == StackArena.bottom { continue }
            reader.openReturn(configuration.stack)
            if reader.configurations.count > count {
                for exit in mask.exits {
                    _ = reader.walk(
                        vocabulary, below: Int(exit), level: count, limit: limit, words: words, levels: &levels,
                        exits: &ignoredExits)
                    ignoredExits.removeAll(keepingCapacity: true)
                }
            }
            reader.truncate(configurations: count, stacks: stacks)
        }
        self.isSatisfied = isSatisfied
        if isAtBeginning && vocabulary.stripsFirstSpace { removeSpaces(words) }
    }

    private func isStripped(_ spelling: [UInt8]) -> Bool {
        constraint.vocabulary.stripsFirstSpace && spelling.first == UInt8(ascii: " ")
    }

    private func removeSpaces(_ words: UnsafeMutablePointer<UInt64>) {
        let vocabulary = constraint.vocabulary
        guard let space = vocabulary.child(of: 0, UInt8(ascii: " ")) else { return }
        let tokens = vocabulary.tokenOffsets[space]..<vocabulary.tokenOffsets[Int(vocabulary.ends[space])]
        for index in tokens {
            let token = Int(vocabulary.tokens[Int(index)])
            words[token >> 6] &= ~(1 << UInt64(token & 63))
        }
    }
}
