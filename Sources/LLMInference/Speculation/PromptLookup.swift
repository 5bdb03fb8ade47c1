// Guesses at the tokens that come next, by looking where the last ones stood before: prompt-lookup decoding (Saxena 2023).
// A wrong guess costs a row of a step, never a byte of the answer.

package struct PromptLookup {
    /// Last tokens that must agree with an earlier place.
    static let shortestMatch = 3
    /// A match as long as this is as good as any.
    static let longestMatch = 8
    /// Tokens of ended answers that are kept.
    static let memory = 1 << 14
    /// Between answers; no token.
    private static let separator: Int32 = -1

    /// Answers that have ended, newest last.
    private var earlier: [Int32] = []

    init() { earlier.reserveCapacity(2 * Self.memory) }

    mutating func remember(_ answer: ArraySlice<Int32>) {
        guard answer.count > Self.shortestMatch else { return }
        earlier.append(contentsOf: answer.suffix(Self.memory - 1))
        earlier.append(Self.separator)
        if earlier.count > Self.memory { earlier.removeFirst(earlier.count - Self.memory) }
    }

    /// Appends up to `count` tokens that followed the longest match of the last tokens in the sequence itself, or in an
    /// ended answer if the match is longer there; the newest of equally long ones. Nothing if there is no match.
    func draft(after tokens: [Int32], atMost count: Int, into drafts: inout [Int32]) {
        guard count > 0, tokens.count > Self.shortestMatch else { return }
        tokens.withUnsafeBufferPointer { tokens in
            earlier.withUnsafeBufferPointer { earlier in
                let own = match(UnsafeBufferPointer(rebasing: tokens.dropLast()), tokens)
                let other = own.length < Self.longestMatch ? match(earlier, tokens) : (length: 0, end: 0)
                let (source, best) = other.length > own.length ? (earlier, other) : (tokens, own)
                guard best.length >= Self.shortestMatch else { return }
                for token in source[best.end..<min(best.end + count, source.count)] {
                    if token == Self.separator { break }
                    drafts.append(token)
                }
            }
        }
    }

    /// The longest run of tokens in `text` that equals the end of `tokens`, and where it ends.
    private func match(
        _ text: UnsafeBufferPointer<Int32>, _ tokens: UnsafeBufferPointer<Int32>
    ) -> (length: Int, end: Int) {
        var best = (length: 0, end: 0)
        let last = tokens[tokens.count - 1]
        var end = text.count
        while end >= Self.shortestMatch {
            if text[end - 1] == last {
                let most = min(end, tokens.count, Self.longestMatch)
                var length = 1
                while length < most && text[end - 1 - length] == tokens[tokens.count - 1 - length] { length += 1 }
                if length > best.length { best = (length, end) }
                if length == Self.longestMatch { break }
            }
            end -= 1
        }
        return best
    }
}
