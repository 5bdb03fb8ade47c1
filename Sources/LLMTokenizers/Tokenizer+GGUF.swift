// The vocabulary of a GGUF file.

extension Tokenizer {
    package init(_ vocabulary: VocabularyDescription) throws(TokenizerError) {
        let count = vocabulary.tokens.count
        func check(_ id: Int32?, _ field: String) throws(TokenizerError) {
            guard let id, !(0..<Int32(count)).contains(id) else { return }
            throw .invalid(field: "tokenizer.ggml.\(field)", reason: "token \(id) is outside of the vocabulary of \(count)")
        }
        guard count > 0, count < 1 << 24 else {
            throw .invalid(field: "tokenizer.ggml.tokens", reason: "\(count) tokens")
        }
        guard vocabulary.types.isEmpty || vocabulary.types.count == count else {
            throw .invalid(field: "tokenizer.ggml.token_type", reason: "\(vocabulary.types.count) types for \(count) tokens")
        }
        try check(vocabulary.beginOfText, "bos_token_id")
        try check(vocabulary.endOfText, "eos_token_id")
        try check(vocabulary.unknown, "unknown_token_id")

        let types = vocabulary.types.isEmpty ? Array(repeating: 1, count: count) : vocabulary.types
        pieces = vocabulary.tokens
        // A piece that is listed twice counts where it stands first.
        ids = Dictionary(zip(vocabulary.tokens, 0..<Int32(count)), uniquingKeysWith: { first, _ in first })
        let addedTokens = types.indices.filter { types[$0] == 3 || types[$0] == 4 }.map { index in
            AddedToken(
                id: Int32(index), content: String(decoding: vocabulary.tokens[index], as: UTF8.self),
                isSpecial: types[index] == 3)
        }
        added = AddedTokens(addedTokens)
        addedByID = Dictionary(uniqueKeysWithValues: addedTokens.map { ($0.id, $0) })
        beginOfText = vocabulary.beginOfText
        endOfText = vocabulary.endOfText
        unknown = vocabulary.unknown
        addsEndOfText = false

        switch vocabulary.model {
        case "gpt2":
            let preTokenizer = try Self.preTokenizer(vocabulary.pre)
            let merges = try RankedMerges(Self.merges(vocabulary.merges, ids))
            model = .bytes(
                preTokenizer, merges, byteTokens: Self.byteTokens(ids),
                ignoresMerges: preTokenizer == .gpt4(digits: 3))
            normalizer = Normalizer(composes: preTokenizer == .gpt4(digits: 1))
            contributions = Self.contributions(pieces, isAdded: Set(addedTokens.map(\.id)))
            fallbackBytes = []
            dropsLeadingSpace = false
            addsBeginOfText = vocabulary.addsBeginOfText ?? (preTokenizer == .gpt4(digits: 3))
        case "llama":
            guard vocabulary.scores.count == count else {
                throw .invalid(field: "tokenizer.ggml.scores", reason: "\(vocabulary.scores.count) scores for \(count) tokens")
            }
            let byteTokens = try Self.fallbackTokens(ids)
            let byteIDs = Set(byteTokens)
            // Byte and control pieces are never made by merging.
            var mergeable = ids
            for (index, type) in types.enumerated() where type != 1 && type != 4 { mergeable[pieces[index]] = nil }
            model = .characters(
                ScoredMerges(pieces: pieces, scores: vocabulary.scores, ids: mergeable), byteTokens: byteTokens)
            let addsSpace = vocabulary.addsSpacePrefix ?? true
            normalizer = Normalizer(marksSpaces: true, prefix: addsSpace ? .always : .never)
            contributions = Self.spacedContributions(pieces, byteTokens)
            fallbackBytes = byteIDs
            dropsLeadingSpace = addsSpace
            addsBeginOfText = vocabulary.addsBeginOfText ?? true
        default:
            throw .unsupported(field: "tokenizer.ggml.model", value: "\"\(vocabulary.model)\"")
        }
    }

    private static func preTokenizer(_ name: String) throws(TokenizerError) -> PreTokenizer {
        switch name {
        case "gpt-2", "gpt2", "default", "": .gpt2
        case "smollm": .smollm
        case "qwen2": .gpt4(digits: 1)
        case "llama3", "llama-v3", "llama-bpe": .gpt4(digits: 3)
        default: throw .unsupported(field: "tokenizer.ggml.pre", value: "\"\(name)\"")
        }
    }

    private static func merges(
        _ lines: [[UInt8]], _ ids: [[UInt8]: Int32]
    ) throws(TokenizerError) -> [(Int32, Int32, Int32)] {
        var merges: [(Int32, Int32, Int32)] = []
        merges.reserveCapacity(lines.count)
        for (index, line) in lines.enumerated() {
            // Pieces of a byte-level vocabulary hold no space.
            guard let space = line.firstIndex(of: UInt8(ascii: " ")) else {
                throw .invalid(field: "tokenizer.ggml.merges[\(index)]", reason: "two pieces are expected")
            }
            merges.append(try merge(line[..<space], line[(space + 1)...], ids, "tokenizer.ggml.merges[\(index)]"))
        }
        return merges
    }

    static func merge(
        _ left: some Collection<UInt8>, _ right: some Collection<UInt8>, _ ids: [[UInt8]: Int32], _ field: String
    ) throws(TokenizerError) -> (Int32, Int32, Int32) {
        guard let first = ids[Array(left)], let second = ids[Array(right)], let both = ids[Array(left) + Array(right)] else {
            throw .invalid(field: field, reason: "a piece is not in the vocabulary")
        }
        return (first, second, both)
    }

    /// The piece of each byte, in GPT-2's alphabet; −1 for a byte that the training text did not have (SmolLM2 lacks some
    /// control characters), which encoding leaves out.
    static func byteTokens(_ ids: [[UInt8]: Int32]) -> [Int32] {
        ByteAlphabet.characters.map { ids[Array(UTF8.encode($0)!)] ?? -1 }
    }

    /// `<0x00>` … `<0xFF>`, all or none.
    static func fallbackTokens(_ ids: [[UInt8]: Int32]) throws(TokenizerError) -> [Int32] {
        let found = (0..<256).map { (byte: Int) in
            let hex = String(byte, radix: 16, uppercase: true)
            return ids[Array("<0x\(hex.count == 1 ? "0" : "")\(hex)>".utf8)]
        }
        let tokens = found.compactMap(\.self)
        guard tokens.isEmpty || tokens.count == 256 else {
            throw .invalid(field: "vocabulary", reason: "only \(tokens.count) of 256 byte pieces are there")
        }
        return tokens
    }

    static func contributions(_ pieces: [[UInt8]], isAdded: Set<Int32>) -> [[UInt8]] {
        pieces.enumerated().map { index, piece in
            isAdded.contains(Int32(index)) ? piece : ByteAlphabet.bytes(of: String(decoding: piece, as: UTF8.self))
        }
    }

    static func spacedContributions(_ pieces: [[UInt8]], _ byteTokens: [Int32]) -> [[UInt8]] {
        let mark = Array("\u{2581}".utf8)
        var contributions = pieces.map { piece in
            var result: [UInt8] = []
            var place = 0
            while place < piece.count {
                if piece[place] == mark[0], piece[place...].starts(with: mark) {
                    result.append(UInt8(ascii: " "))
                    place += mark.count
                } else {
                    result.append(piece[place])
                    place += 1
                }
            }
            return result
        }
        for (byte, token) in byteTokens.enumerated() { contributions[Int(token)] = [UInt8(byte)] }
        return contributions
    }
}
