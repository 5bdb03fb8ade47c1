// A constraint compiled for one model: automaton, vocabulary, and the masks found so far.
import Synchronization

/// Shared by all requests with the same constraint, on any thread.
package final class TokenConstraint: Sendable {
    let automaton: Automaton
    let vocabulary: Vocabulary
    let ends: TokenEnds
    /// Enough tokens for an answer: the shortest text, cut into as few tokens as its parts allow.
    package let minimumTokens: Int
    package var vocabularySize: Int { vocabulary.size }
    /// 64-bit words of a mask.
    package var maskWords: Int { vocabulary.maskWords }
    private let masks = Mutex(Masks())

    private struct Masks: Sendable {
        var byState: [MaskKey: TokenMask] = [:]
        var byteCount = 0
    }

    private struct MaskKey: Hashable {
        var state: Int32
        /// Tokens that may be needed after the token; `none` where every allowed token keeps to that.
        var limit: Int32
        static let none = TokenEnds.impossible - 1
    }

    /// - Throws: with the place and the reason, before any work on an answer.
    package init(_ source: ConstraintSource, vocabulary: Vocabulary) throws(ConstraintError) {
        automaton = try Automaton(try source.grammar())
        self.vocabulary = vocabulary
        ends = TokenEnds(automaton, vocabulary)
        var reader = Reader(automaton, ends)
        reader.begin(automaton.root)
        minimumTokens = Int(reader.need(from: 0))
        if minimumTokens >= TokenEnds.impossible {
            throw ConstraintError(.impossible, "", "the model's tokens can't spell any text that satisfies it")
        }
    }

    /// What the state's own rule says, for tokens after which at most `limit` are needed to the end of that rule.
    func mask(_ state: Int32, limit: Int32) -> TokenMask {
        let free = MaskKey(state: state, limit: MaskKey.none)
        let limited = MaskKey(state: state, limit: limit)
        let known: TokenMask? = masks.withLock { masks in
            guard let mask = masks.byState[free] else { return nil }
            return mask.largestNeed <= limit ? mask : masks.byState[limited]
        }
        if let known { return known }
        // Two threads may do this at the same time; they find the same.
        let whole = store(makeMask(state, limit: MaskKey.none), free)
        if whole.largestNeed <= limit { return whole }
        return store(makeMask(state, limit: limit), limited)
    }

    private func store(_ mask: TokenMask, _ key: MaskKey) -> TokenMask {
        masks.withLock { masks in
            if masks.byteCount + mask.byteCount > ConstraintLimits.maskBytes { masks = Masks() }
            if masks.byState.updateValue(mask, forKey: key) == nil { masks.byteCount += mask.byteCount }
        }
        return mask
    }

    private func makeMask(_ state: Int32, limit: Int32) -> TokenMask {
        var reader = Reader(automaton, ends)
        reader.begin(inside: state)
        var words = [UInt64](repeating: 0, count: vocabulary.maskWords)
        var levels = [WalkLevel](repeating: WalkLevel(), count: vocabulary.maximumDepth + 2)
        var exits: [Int32] = []
        let largest = words.withUnsafeMutableBufferPointer { words in
            reader.walk(
                vocabulary, below: 0, level: 0, limit: limit, words: words.baseAddress!, levels: &levels, exits: &exits)
        }
        let count = words.reduce(0) { $0 + $1.nonzeroBitCount }
        guard count < 2 * vocabulary.maskWords else {
            return TokenMask(tokens: .many(words), exits: exits, largestNeed: largest)
        }
        var tokens: [Int32] = []
        for (index, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                tokens.append(Int32(index * 64 + rest.trailingZeroBitCount))
                rest &= rest - 1
            }
        }
        return TokenMask(tokens: .few(tokens), exits: exits, largestNeed: largest)
    }
}

extension TokenConstraint: Hashable {
    package static func == (first: TokenConstraint, second: TokenConstraint) -> Bool { first === second }
    package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
