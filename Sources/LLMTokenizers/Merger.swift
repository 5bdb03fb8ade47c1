// Byte-pair merging: joins neighbours, best first, until none of them can be joined. One algorithm for both vocabularies:
// byte-level BPE ranks pairs by their place in the list of merges, SentencePiece by the score of the piece they make.
import HeapModule

/// Which piece two pieces make, and how early: smaller is earlier.
protocol MergeRules: Sendable {
    func merge(_ left: Int32, _ right: Int32) -> (rank: Int64, piece: Int32)?
}

enum Merger {
    private struct Candidate: Comparable {
        let rank: Int64
        let left: Int32
        let right: Int32
        /// The pieces that it was found for; others stand there if the candidate is out of date.
        let pieces: (Int32, Int32)
        let merged: Int32

        static func == (a: Candidate, b: Candidate) -> Bool { (a.rank, a.left) == (b.rank, b.left) }
        static func < (a: Candidate, b: Candidate) -> Bool { (a.rank, a.left) < (b.rank, b.left) }
    }

    /// What a piece that was merged into its neighbour leaves behind.
    private static let gone = Int32.min

    /// O(n log n): a heap of candidates over a linked list of pieces. Negative pieces are never merged.
    static func merge(_ pieces: [Int32], _ rules: some MergeRules) -> [Int32] {
        guard pieces.count > 1 else { return pieces }
        var pieces = pieces
        var next = pieces.indices.map { Int32($0 + 1) }
        var previous = pieces.indices.map { Int32($0 - 1) }
        var heap = Heap<Candidate>()
        func candidate(_ left: Int32, _ right: Int32) -> Candidate? {
            guard left >= 0, right < pieces.count else { return nil }
            let pair = (pieces[Int(left)], pieces[Int(right)])
            return rules.merge(pair.0, pair.1).map {
                Candidate(rank: $0.rank, left: left, right: right, pieces: pair, merged: $0.piece)
            }
        }
        for left in 0..<Int32(pieces.count - 1) {
            if let found = candidate(left, left + 1) { heap.insert(found) }
        }
        while let best = heap.popMin() {
            let (left, right) = (Int(best.left), Int(best.right))
            guard pieces[left] == best.pieces.0, pieces[right] == best.pieces.1, next[left] == best.right else { continue }
            pieces[left] = best.merged
            pieces[right] = gone
            next[left] = next[right]
            if next[right] < pieces.count { previous[Int(next[right])] = best.left }
            if let found = candidate(previous[left], best.left) { heap.insert(found) }
            if let found = candidate(best.left, next[left]) { heap.insert(found) }
        }
        return pieces.filter { $0 != gone }
    }
}

/// Merges by the list of a byte-level vocabulary.
struct RankedMerges: MergeRules {
    private let table: [UInt64: (rank: Int32, piece: Int32)]

    /// - Parameter merges: (left, right, merged) in order of rank.
    init(_ merges: [(Int32, Int32, Int32)]) {
        var table: [UInt64: (rank: Int32, piece: Int32)] = [:]
        table.reserveCapacity(merges.count)
        for (rank, merge) in merges.enumerated() {
            let key = Self.key(merge.0, merge.1)
            if table[key] == nil { table[key] = (Int32(rank), merge.2) }
        }
        self.table = table
    }

    func merge(_ left: Int32, _ right: Int32) -> (rank: Int64, piece: Int32)? {
        guard left >= 0, right >= 0, let found = table[Self.key(left, right)] else { return nil }
        return (Int64(found.rank), found.piece)
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }
}

/// Merges whose result is any piece of the vocabulary, the highest score first (SentencePiece).
struct ScoredMerges: MergeRules {
    let pieces: [[UInt8]]
    let scores: [Float]
    let ids: [[UInt8]: Int32]

    func merge(_ left: Int32, _ right: Int32) -> (rank: Int64, piece: Int32)? {
        guard left >= 0, right >= 0, let id = ids[pieces[Int(left)] + pieces[Int(right)]] else { return nil }
        // The bits of a float order as its value does once negative ones are flipped.
        let bits = Int64(Int32(bitPattern: scores[Int(id)].bitPattern))
        return (-(bits < 0 ? Int64(Int32.min) - bits : bits), id)
    }
}
