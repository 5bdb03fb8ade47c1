// SentencePiece's BPE: text with U+2581 for spaces is merged from its characters; characters without a piece become the
// pieces of their bytes.

struct SentencePieceBPE: Sendable {
    enum Rules: Sendable {
        /// By a list of merges (tokenizer.json).
        case ranked(RankedMerges)
        /// By the pieces' scores (GGUF).
        case scored(ScoredMerges)
    }

    let index: PieceIndex
    let rules: Rules
    /// `<0x00>` … `<0xFF>`; empty: no byte fallback.
    let byteTokens: [Int32]
    let unknown: UnknownToken
    let ignoresMerges: Bool
    private let asciiTokens: [Int32?]
    /// Last bytes of what stands before a U+2581 inside some piece. After any other byte no merge crosses the beginning of
    /// a U+2581, so that the text falls into short words there.
    private let joinsMark: [Bool]

    init(_ index: PieceIndex, _ rules: Rules, byteTokens: [Int32], unknown: UnknownToken, ignoresMerges: Bool) {
        self.index = index
        self.rules = rules
        self.byteTokens = byteTokens
        self.unknown = unknown
        self.ignoresMerges = ignoresMerges
        asciiTokens = (0..<128).map { index.find([UInt8($0)]) }
        joinsMark = Self.joins(index.pieces)
    }

    func encode(_ text: UTF8Bytes, _ merger: inout Merger, into tokens: inout [Int32]) {
        if ignoresMerges, let whole = index.find(text) {
            tokens.append(whole)
            return
        }
        merger.pieces.removeAll(keepingCapacity: true)
        var unknowns = unknown.run()
        var place = 0
        while place < text.count {
            if place > 0, text[place] == TextStep.mark[0], !joinsMark[Int(text[place - 1])],
                text.starts(with: TextStep.mark, at: place)
            {
                unknowns.end(&merger.pieces)
                flush(&merger, into: &tokens)
            }
            let (value, length) = text.scalar(at: place)
            let character = UTF8Bytes(rebasing: text[place..<place + length])
            if let token = value < 0x80 ? asciiTokens[Int(value)] : index.find(character) {
                unknowns.end(&merger.pieces)
                merger.pieces.append(token)
            } else if !byteTokens.isEmpty {
                for byte in character { merger.pieces.append(byteTokens[Int(byte)]) }
            } else {
                unknowns.add(&merger.pieces)
            }
            place += length
        }
        unknowns.end(&merger.pieces)
        flush(&merger, into: &tokens)
    }

    private func flush(_ merger: inout Merger, into tokens: inout [Int32]) {
        switch rules {
        case .ranked(let merges): merger.merge(merges)
        case .scored(let merges): merger.merge(merges)
        }
        tokens.append(contentsOf: merger.pieces)
        merger.pieces.removeAll(keepingCapacity: true)
    }

    private static func joins(_ pieces: ByteStrings) -> [Bool] {
        var joins = Array(repeating: false, count: 256)
        pieces.bytes.withUnsafeBufferPointer { bytes in
            for id in 0..<pieces.count {
                let range = pieces.range(id)
                for place in range.dropFirst()
                where bytes[place] == TextStep.mark[0] && bytes.starts(with: TextStep.mark, at: place) {
                    joins[Int(bytes[place - 1])] = true
                }
            }
        }
        return joins
    }

    /// The pieces of the 256 bytes: all, or none.
    static func byteTokens(_ index: PieceIndex) throws(TokenizerError) -> [Int32] {
        let found = (0..<256).compactMap { (byte: Int) in
            let hex = String(byte, radix: 16, uppercase: true)
            return index.find(Array("<0x\(hex.count == 1 ? "0" : "")\(hex)>".utf8))
        }
        guard found.isEmpty || found.count == 256 else {
            throw .invalid(
                field: "vocabulary", reason: "only \(found.count) of the 256 byte pieces <0x00> to <0xFF> are there")
        }
        return found
    }
}
