// Where one sequence's keys and values are.

/// Position p of the sequence is in block `blocks[p / 16]`, at p % 16.
package struct BlockTable: Sendable {
    package internal(set) var blocks: [Int32] = []

    package init(reservingTokens tokens: Int = 0) {
        blocks.reserveCapacity(TokenBlock.count(forTokens: tokens))
    }

    package var capacity: Int { blocks.count * TokenBlock.size }
}
