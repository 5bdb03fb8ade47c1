// Byte-level BPE: a word is merged from its bytes.

struct BPE: Sendable {
    let index: PieceIndex
    let merges: RankedMerges
    /// The piece of each byte, in GPT-2's alphabet; nil where the vocabulary has none.
    let byteTokens: [Int32?]
    let unknown: UnknownToken
    /// A word that is a piece is that piece, even if merging would not make it (Llama 3).
    let ignoresMerges: Bool

    init(_ index: PieceIndex, _ merges: RankedMerges, unknown: UnknownToken, ignoresMerges: Bool) {
        self.index = index
        self.merges = merges
        self.unknown = unknown
        self.ignoresMerges = ignoresMerges
        byteTokens = ByteAlphabet.encodings.map { index.find($0) }
    }

    func encode(_ word: UTF8Bytes, _ merger: inout Merger, into tokens: inout [Int32]) {
        if ignoresMerges, let whole = whole(word) {
            tokens.append(whole)
            return
        }
        merger.pieces.removeAll(keepingCapacity: true)
        var unknowns = unknown.run()
        for byte in word {
            if let token = byteTokens[Int(byte)] {
                unknowns.end(&merger.pieces)
                merger.pieces.append(token)
            } else {
                unknowns.add(&merger.pieces)
            }
        }
        unknowns.end(&merger.pieces)
        merger.merge(merges)
        tokens.append(contentsOf: merger.pieces)
    }

    private func whole(_ word: UTF8Bytes) -> Int32? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: word.count * 2) { buffer in
            var count = 0
            for byte in word {
                for part in ByteAlphabet.encodings[Int(byte)] {
                    buffer[count] = part
                    count += 1
                }
            }
            return index.find(UTF8Bytes(rebasing: buffer[..<count]))
        }
    }
}

/// What stands for characters outside of the vocabulary; without a token they are left out.
struct UnknownToken: Sendable, Hashable {
    var token: Int32?
    /// Neighbouring unknown characters are one token.
    var isFused = false

    func run() -> Run { Run(rule: self) }

    struct Run {
        let rule: UnknownToken
        private var isOpen = false

        fileprivate init(rule: UnknownToken) { self.rule = rule }

        mutating func add(_ pieces: inout [Int32]) {
            if !rule.isFused { end(&pieces) }
            isOpen = true
        }

        mutating func end(_ pieces: inout [Int32]) {
            if isOpen, let token = rule.token { pieces.append(token) }
            isOpen = false
        }
    }
}
