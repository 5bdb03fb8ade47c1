// The tokens of one block of the cache: what two sequences compare to find a common beginning.

/// Sixteen tokens that fill a block.
package struct TokenBlock: Hashable, Sendable {
    /// Tokens of one block.
    package static let size = 16

    private let tokens: SIMD16<Int32>

    /// The `size` tokens from `start` on.
    package init(_ tokens: [Int32], from start: Int) {
        self.tokens = SIMD16(tokens[start..<start + Self.size])
    }

    /// Blocks that it takes to hold so many tokens.
    package static func count(forTokens tokens: Int) -> Int { (tokens + size - 1) / size }

    /// The whole blocks of the first `count` tokens.
    package static func blocks(of tokens: [Int32], count: Int) -> [TokenBlock] {
        (0..<count / size).map { TokenBlock(tokens, from: $0 * size) }
    }
}
