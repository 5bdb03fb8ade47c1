// Where the rows of one step stand in the paged cache: checked once, used by every layer.
import CKernels

/// Positions and block tables of the rows of one step. Reused from step to step.
package final class PagedRows {
    /// Rows that are computed together, so that they share the loads of a block. Never changes a result.
    static let tile = 8
    /// How far ahead rows are looked for that begin with the same blocks.
    private static let lookAhead = 64

    package private(set) var count = 0
    /// One more than the largest block number that a row reads.
    private(set) var blockCount = 0
    private(set) var largestPosition = -1
    private(set) var positions: [Int32] = []
    /// Row → start of its sequence's table in `blocks`.
    private(set) var tables: [Int32] = []
    private(set) var blocks: [Int32] = []
    /// The rows in the order of the tiles.
    private(set) var order: [Int32] = []
    private(set) var tiles: [ck_attention_tile] = []
    /// Sequence → start of its table in `blocks`, and the end.
    private var starts: [Int32] = []
    /// First rows of the runs of one sequence, at most a tile high, and the end.
    private var runs: [Int32] = []
    private var isTaken: [Bool] = []

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
        starts.removeAll(keepingCapacity: true)
        runs.removeAll(keepingCapacity: true)
        var largest: Int32 = -1
        for table in blockTables {
            starts.append(Int32(blocks.count))
            for block in table {
                precondition(block >= 0, "block \(block)")
                largest = max(largest, block)
            }
            blocks.append(contentsOf: table)
        }
        starts.append(Int32(blocks.count))
        blockCount = Int(largest) + 1
        largestPosition = Int(positions.max() ?? -1)
        for row in 0..<count {
            let sequence = Int(sequences[row]), position = positions[row]
            precondition(blockTables.indices ~= sequence && position >= 0, "row \(row)")
            precondition(Int(position) / KVLayout.blockSize < blockTables[sequence].count, "row \(row) has no block")
            tables.append(starts[sequence])
            let continues =
                row > 0 && sequences[row - 1] == sequences[row] && positions[row - 1] < position
                && row - Int(runs[runs.count - 1]) < Self.tile
            if !continues { runs.append(Int32(row)) }
        }
        runs.append(Int32(count))
        makeTiles(sequences)
    }

    /// Puts runs together whose sequences begin with the same blocks: what those hold is then read once for all of them.
    private func makeTiles(_ sequences: [Int32]) {
        order.removeAll(keepingCapacity: true)
        tiles.removeAll(keepingCapacity: true)
        isTaken.removeAll(keepingCapacity: true)
        isTaken.append(contentsOf: repeatElement(false, count: runs.count))
        for run in 0..<runs.count - 1 where !isTaken[run] {
            let begin = order.count, leader = Int(sequences[Int(runs[run])])
            var common = Int.max
            order.append(contentsOf: runs[run]..<runs[run + 1])
            for other in run + 1..<max(run + 1, min(runs.count - 1, run + Self.lookAhead)) where !isTaken[other] {
                let height = order.count - begin
                if height == Self.tile { break }
                let rows = runs[other]..<runs[other + 1], sequence = Int(sequences[Int(rows.lowerBound)])
                guard sequence != leader, height + rows.count <= Self.tile else { continue }
                let spans = commonSpans(leader, sequence)
                if spans == 0 { continue }
                common = min(common, spans)
                order.append(contentsOf: rows)
                isTaken[other] = true
            }
            tiles.append(
                ck_attention_tile(
                    begin: Int32(begin), end: Int32(order.count), common_spans: Int32(clamping: common)))
        }
    }

    /// Whole spans of blocks that both sequences begin with.
    private func commonSpans(_ first: Int, _ second: Int) -> Int {
        let (one, other) = (Int(starts[first]), Int(starts[second]))
        let count = min(Int(starts[first + 1]) - one, Int(starts[second + 1]) - other)
        var same = 0
        while same < count && blocks[one + same] == blocks[other + same] { same += 1 }
        return same * KVLayout.blockSize / Int(ck_attention_span)
    }

    /// The block that holds the row's token, and the token's place in it.
    func place(of row: Int) -> (block: Int, slot: Int) {
        let position = Int(positions[row])
        return (Int(blocks[Int(tables[row]) + position / KVLayout.blockSize]), position % KVLayout.blockSize)
    }

    /// Tokens that the rows see together, without regard to windows.
    var contextTokens: Int { positions.reduce(0) { $0 + Int($1) + 1 } }

    /// What kernels read of a step.
    struct Pointers {
        let positions, tables, blocks, order: UnsafePointer<Int32>?
        let tiles: UnsafeBufferPointer<ck_attention_tile>
    }

    func withPointers(_ body: (Pointers) -> Void) {
        positions.withUnsafeBufferPointer { positions in
            tables.withUnsafeBufferPointer { tables in
                blocks.withUnsafeBufferPointer { blocks in
                    order.withUnsafeBufferPointer { order in
                        tiles.withUnsafeBufferPointer { tiles in
                            body(
                                Pointers(
                                    positions: positions.baseAddress, tables: tables.baseAddress,
                                    blocks: blocks.baseAddress, order: order.baseAddress, tiles: tiles))
                        }
                    }
                }
            }
        }
    }
}
