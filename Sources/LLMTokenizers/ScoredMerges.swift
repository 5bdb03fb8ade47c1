// Merges whose result is any ordinary piece of the vocabulary, the highest score first (SentencePiece's BPE).

struct ScoredMerges: MergeRules {
    private let index: PieceIndex
    /// Rank of each piece: its score, turned so that the best is the smallest; `unmergeable` for pieces that merging
    /// neither makes nor takes (control, byte, unknown and unused ones).
    private let ranks: [UInt32]

    private static let unmergeable = UInt32.max

    /// - Precondition: one finite score and one flag a piece.
    init(_ index: PieceIndex, scores: [Float], isMergeable: [Bool]) {
        self.index = index
        ranks = zip(scores, isMergeable).map { score, isMergeable in
            guard isMergeable else { return Self.unmergeable }
            // The bits of a positive float order as its value, those of a negative one the other way round.
            let bits = (score + 0).bitPattern
            return bits >> 31 == 0 ? ~(bits | 1 << 31) : bits
        }
    }

    func merge(_ left: Int32, _ right: Int32) -> Merge? {
        guard ranks[Int(left)] != Self.unmergeable, ranks[Int(right)] != Self.unmergeable,
            let piece = index.find(left, right), ranks[Int(piece)] != Self.unmergeable
        else { return nil }
        return Merge(rank: ranks[Int(piece)], piece: piece)
    }
}
