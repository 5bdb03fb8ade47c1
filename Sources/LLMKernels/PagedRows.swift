// Where the rows of one step stand in the paged cache: checked once, used by every layer.

/// Positions and block tables of the rows of one step. Reused from step to step.
package final class PagedRows {
    /// Rows of one sequence that are computed together, so that they share the loads of a block. Never changes a result.
    static let tile = 8

    package private(set) var count = 0
    /// One more than the largest block number that a row reads.
    private(set) var blockCount = 0
    private(set) var largestPosition = -1
    private(set) var positions: [Int32] = []
    /// Row → start of its sequence's table in `blocks`.
    private(set) var tables: [Int32] = []
    private(set) var blocks: [Int32] = []
    /// First rows of the tiles, and the end.
    private(set) var tiles: [Int32] = []
    private var starts: [Int32] = []

    package init() {}

    /// Row r is position positions[r] of sequence sequences[r], whose position p lies in block
    /// blockTables[sequence][p / 16]. Keys of a step's rows are stored before attention reads them, so rows of one
    /// sequence may see each other; they should stand together with ascending positions.
    package func assign(positions: [Int32], sequences: [Int32], blockTables: [[Int32]]) {
        precondition(positions.count == sequences.count)
        count = positions.count
        self.positions.removeAll(keepingCapacity: true)
        self.positions.append(contentsOf: positions)
        tables.removeAll(keepingCapacity: true)
        blocks.removeAll(keepingCapacity: true)
        tiles.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
        var largest: Int32 = -1
        for table in blockTables {
            starts.append(Int32(blocks.count))
            for block in table {
                precondition(block >= 0, "block \(block)")
                largest = max(largest, block)
            }
            blocks.append(contentsOf: table)
        }
        blockCount = Int(largest) + 1
        largestPosition = Int(positions.max() ?? -1)
        for row in 0..<count {
            let sequence = Int(sequences[row]), position = positions[row]
            precondition(blockTables.indices ~= sequence && position >= 0, "row \(row)")
            precondition(Int(position) / KVLayout.blockSize < blockTables[sequence].count, "row \(row) has no block")
            tables.append(starts[sequence])
            let continues =
                row > 0 && sequences[row - 1] == sequences[row] && positions[row - 1] < position
                && row - Int(tiles[tiles.count - 1]) < Self.tile
            if !continues { tiles.append(Int32(row)) }
        }
        tiles.append(Int32(count))
    }

    /// The block that holds the row's token, and the token's place in it.
    func place(of row: Int) -> (block: Int, slot: Int) {
        let position = Int(positions[row])
        return (Int(blocks[Int(tables[row]) + position / KVLayout.blockSize]), position % KVLayout.blockSize)
    }
}
