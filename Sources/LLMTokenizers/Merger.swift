// Byte-pair merging: joins neighbours, best first, until none of them can be joined. One algorithm for both vocabularies:
// byte-level BPE ranks pairs by their place in the list of merges, SentencePiece by the score of the piece they make.
import HeapModule

/// Which piece two pieces make, and how early: smaller is earlier.
protocol MergeRules: Sendable {
    func merge(_ left: Int32, _ right: Int32) -> Merge?
}

/// Rank above, piece below, so that comparing two of them compares ranks.
struct Merge: Equatable {
    let bits: UInt64

    init(rank: UInt32, piece: Int32) { bits = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: piece)) }
    init(bits: UInt64) { self.bits = bits }

    /// No merge; its rank is above every other.
    static let none = Merge(bits: .max)

    var rank: UInt32 { UInt32(bits >> 32) }
    var piece: Int32 { Int32(truncatingIfNeeded: bits) }
}

/// Merges one word after the other; keeps its memory between them.
struct Merger {
    /// The word's pieces: filled by the caller, merged by `merge`.
    var pieces: [Int32] = []
    private var merges: [Merge] = []
    private var next: [Int32] = []
    private var previous: [Int32] = []

    /// Up to this many pieces, looking through all pairs for the best one is faster than keeping them in a heap.
    private static let shortWord = 40

    /// Leaves in `pieces` what the word becomes. O(n log n).
    mutating func merge(_ rules: some MergeRules) {
        if pieces.count <= 1 { return }
        if pieces.count <= Self.shortWord { mergeShort(rules) } else { mergeLong(rules) }
    }

    private mutating func mergeShort(_ rules: some MergeRules) {
        merges.removeAll(keepingCapacity: true)
        for index in 1..<pieces.count { merges.append(rules.merge(pieces[index - 1], pieces[index]) ?? .none) }
        while true {
            // Of equal ranks the first one.
            var best = Merge.none
            var place = 0
            for index in merges.indices where merges[index].rank < best.rank {
                best = merges[index]
                place = index
            }
            guard best != .none else { return }
            pieces[place] = best.piece
            pieces.remove(at: place + 1)
            merges.remove(at: place)
            if place > 0 { merges[place - 1] = rules.merge(pieces[place - 1], best.piece) ?? .none }
            if place < merges.count { merges[place] = rules.merge(best.piece, pieces[place + 1]) ?? .none }
        }
    }

    /// A heap of (rank, place) over a linked list of pieces. An entry may be out of date: it counts if the pair that
    /// stands at its place now has its rank.
    private mutating func mergeLong(_ rules: some MergeRules) {
        let count = pieces.count
        next = (0..<count).map { Int32($0 + 1) }
        previous = (0..<count).map { Int32($0 - 1) }
        var candidates: [UInt64] = []
        for left in 1..<count {
            guard let merge = rules.merge(pieces[left - 1], pieces[left]) else { continue }
            candidates.append(UInt64(merge.rank) << 32 | UInt64(left - 1))
        }
        var heap = Heap(candidates)
        while let best = heap.popMin() {
            let left = Int(UInt32(truncatingIfNeeded: best))
            let right = Int(next[left])
            guard pieces[left] != Self.gone, right < count, let merge = rules.merge(pieces[left], pieces[right]),
                merge.rank == UInt32(best >> 32)
            else { continue }
            pieces[left] = merge.piece
            pieces[right] = Self.gone
            let after = Int(next[right])
            next[left] = Int32(after)
            if after < count {
                previous[after] = Int32(left)
                if let merge = rules.merge(pieces[left], pieces[after]) {
                    heap.insert(UInt64(merge.rank) << 32 | UInt64(left))
                }
            }
            let before = Int(previous[left])
            if before >= 0, let merge = rules.merge(pieces[before], pieces[left]) {
                heap.insert(UInt64(merge.rank) << 32 | UInt64(before))
            }
        }
        pieces.removeAll { $0 == Self.gone }
    }

    /// What a piece that was merged into its neighbour leaves behind.
    private static let gone = Int32.min
}
