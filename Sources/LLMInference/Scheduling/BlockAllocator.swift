// Which blocks of the key-value cache are free. Only numbers: the memory is the model's.

package struct BlockAllocator: Sendable {
    /// Tokens of one block.
    package static let blockSize = 16

    package let blockCount: Int
    private var free: [Int32]

    package init(blockCount: Int) {
        precondition(blockCount >= 0 && blockCount <= Int(Int32.max))
        self.blockCount = blockCount
        // Taken from the end: low blocks first, so that a small load touches little memory.
        free = (0..<Int32(blockCount)).reversed()
    }

    package var freeCount: Int { free.count }

    package static func blocks(forTokens tokens: Int) -> Int { (tokens + blockSize - 1) / blockSize }

    /// Lengthens `table` to hold `tokens` tokens. False, with nothing changed, when there are too few free blocks.
    package mutating func grow(_ table: inout BlockTable, toHold tokens: Int) -> Bool {
        let missing = Self.blocks(forTokens: tokens) - table.blocks.count
        guard missing <= free.count else { return false }
        for _ in 0..<max(0, missing) { table.blocks.append(free.removeLast()) }
        return true
    }

    /// Takes every block of `table` back.
    package mutating func release(_ table: inout BlockTable) {
        while let block = table.blocks.popLast() { free.append(block) }
    }

    /// Free blocks, for checks.
    package var freeBlocks: [Int32] { free }
}
