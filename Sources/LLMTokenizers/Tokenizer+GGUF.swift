// The vocabulary of a GGUF file.

extension Tokenizer {
    package init(_ vocabulary: VocabularyDescription) throws(TokenizerError) {
        try vocabulary.check()
        let index = PieceIndex(ByteStrings(vocabulary.tokens))
        let added = try vocabulary.addedTokens()
        self.index = index
        self.added = AddedTokens(added)
        normalizedAdded = AddedTokens([])
        special = Set(added.filter(\.isSpecial).map(\.id))
        beginOfText = vocabulary.beginOfText
        endOfText = vocabulary.endOfText
        preparation = Normalizer()

        let addsBegin: Bool
        switch vocabulary.model {
        case "gpt2":
            let family = try ByteFamily.named(vocabulary.pre)
            preTokenizer = family.preTokenizer
            // A byte without a piece (SmolLM2 lacks some control characters) is left out. The file's unknown token is
            // not for that: it is often the end of text.
            model = .bytes(
                BPE(
                    index, try vocabulary.rankedMerges(index), unknown: UnknownToken(),
                    ignoresMerges: family.ignoresMerges))
            normalizer = Normalizer(steps: family.composes ? [.compose] : [])
            decoder = .bytes(index.pieces)
            addsBegin = vocabulary.addsBeginOfText ?? family.addsBeginOfText
        case "llama":
            let byteTokens = try SentencePieceBPE.byteTokens(index)
            preTokenizer = .characters(.whole)
            model = .characters(
                SentencePieceBPE(
                    index, .scored(try vocabulary.scoredMerges(index)), byteTokens: byteTokens,
                    unknown: UnknownToken(token: vocabulary.unknown, isFused: true), ignoresMerges: false))
            let addsSpace = vocabulary.addsSpacePrefix ?? true
            normalizer = Normalizer(steps: addsSpace ? [.prepend(TextStep.mark), .marksSpaces] : [.marksSpaces])
            var decoder = Decoder.characters(
                index.pieces, replaced: (TextStep.mark, [UInt8(ascii: " ")]), hasByteFallback: !byteTokens.isEmpty)
            decoder.strippedSpaces = addsSpace ? 1 : 0
            self.decoder = decoder
            addsBegin = vocabulary.addsBeginOfText ?? true
        default:
            throw .unsupported(field: "tokenizer.ggml.model", value: "\"\(vocabulary.model)\"")
        }
        postProcessor = PostProcessor(
            prefix: addsBegin ? vocabulary.beginOfText.map { [$0] } ?? [] : [],
            suffix: vocabulary.addsEndOfText == true ? vocabulary.endOfText.map { [$0] } ?? [] : [])
    }
}

/// What the name in `tokenizer.ggml.pre` stands for.
struct ByteFamily {
    /// The first is the one that new files get.
    let names: [String]
    let preTokenizer: PreTokenizer
    var composes = false
    var ignoresMerges = false
    /// Where the file does not say it.
    var addsBeginOfText = false

    static let all = [
        // Files from before there were names hold GPT-2's vocabulary, or one made like it.
        ByteFamily(
            names: ["gpt-2", "gpt2", "default", ""], preTokenizer: .bytes(.gpt2, isolatesDigits: false)),
        ByteFamily(names: ["smollm"], preTokenizer: .bytes(.gpt2, isolatesDigits: true)),
        ByteFamily(
            names: ["qwen2", "deepseek-r1-qwen"], preTokenizer: .bytes(.gpt4(digits: 1), isolatesDigits: false),
            composes: true),
        ByteFamily(
            names: ["llama-bpe", "llama3", "llama-v3"], preTokenizer: .bytes(.gpt4(digits: 3), isolatesDigits: false),
            ignoresMerges: true, addsBeginOfText: true),
    ]

    static func named(_ name: String) throws(TokenizerError) -> ByteFamily {
        guard let family = all.first(where: { $0.names.contains(name) }) else {
            throw .unsupported(field: "tokenizer.ggml.pre", value: "\"\(name)\"")
        }
        return family
    }
}

extension VocabularyDescription {
    fileprivate func check() throws(TokenizerError) {
        let count = tokens.count
        guard count > 0, count <= Tokenizer.maximumVocabularySize else {
            throw .invalid(field: "tokenizer.ggml.tokens", reason: "\(count) tokens")
        }
        guard tokens.reduce(0, { $0 + $1.count }) <= ByteStrings.maximumByteCount else {
            throw .invalid(
                field: "tokenizer.ggml.tokens", reason: "more than \(ByteStrings.maximumByteCount) bytes of text")
        }
        guard types.isEmpty || types.count == count else {
            throw .invalid(field: "tokenizer.ggml.token_type", reason: "\(types.count) types for \(count) tokens")
        }
        let ids = [("bos", beginOfText), ("eos", endOfText), ("unknown", unknown)]
        for (name, id) in ids {
            guard let id, !(0..<count).contains(Int(id)) else { continue }
            throw .invalid(
                field: "tokenizer.ggml.\(name)_token_id", reason: "token \(id) is outside of the vocabulary of \(count)"
            )
        }
    }

    /// Control and unknown tokens are special; words that users defined are looked for, but are text.
    fileprivate func addedTokens() throws(TokenizerError) -> [AddedToken] {
        var added: [AddedToken] = []
        for (id, type) in types.enumerated() {
            guard [TokenType.control, TokenType.userDefined, TokenType.unknown].contains(type) else { continue }
            let content = tokens[id]
            guard content.count <= AddedTokens.maximumLength else {
                throw .invalid(
                    field: "tokenizer.ggml.tokens[\(id)]", reason: "a special token of \(content.count) bytes")
            }
            added.append(AddedToken(id: Int32(id), content: content, isSpecial: type != TokenType.userDefined))
        }
        // One that is no text can't be found in a text.
        return added.map { token in
            var token = token
            if String(validating: token.content, as: UTF8.self) == nil { token.content = [] }
            return token
        }
    }

    fileprivate func rankedMerges(_ index: PieceIndex) throws(TokenizerError) -> RankedMerges {
        guard merges.count <= Tokenizer.maximumMergeCount else {
            throw .invalid(field: "tokenizer.ggml.merges", reason: "\(merges.count) merges")
        }
        var table = RankedMerges(capacity: merges.count)
        for (rank, line) in merges.enumerated() {
            // Pieces of a byte-level vocabulary hold no space.
            guard let space = line.dropFirst().firstIndex(of: UInt8(ascii: " ")) else {
                throw .invalid(field: "tokenizer.ggml.merges[\(rank)]", reason: "two pieces are expected")
            }
            try table.insert(
                line[..<space], line[(space + 1)...], rank, index, field: { "tokenizer.ggml.merges[\($0)]" })
        }
        return table
    }

    fileprivate func scoredMerges(_ index: PieceIndex) throws(TokenizerError) -> ScoredMerges {
        guard scores.count == tokens.count else {
            throw .invalid(field: "tokenizer.ggml.scores", reason: "\(scores.count) scores for \(tokens.count) tokens")
        }
        if let broken = scores.firstIndex(where: { !$0.isFinite }) {
            throw .invalid(field: "tokenizer.ggml.scores[\(broken)]", reason: "\(scores[broken]) is no score")
        }
        let isMergeable = tokens.indices.map { id in
            guard !types.isEmpty else { return true }
            return types[id] == TokenType.normal || types[id] == TokenType.userDefined
        }
        return ScoredMerges(index, scores: scores, isMergeable: isMergeable)
    }
}

extension RankedMerges {
    /// - Parameter field: the name of the merge of a rank, for errors.
    mutating func insert(
        _ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>, _ rank: Int, _ index: PieceIndex, field: (Int) -> String
    ) throws(TokenizerError) {
        func name(_ piece: ArraySlice<UInt8>) -> String { "\"\(String(decoding: piece.prefix(64), as: UTF8.self))\"" }
        for piece in [left, right] where index.find(piece) == nil {
            throw .invalid(field: field(rank), reason: "\(name(piece)) is not in the vocabulary")
        }
        guard let first = index.find(left), let second = index.find(right), let both = index.find(first, second) else {
            throw .invalid(
                field: field(rank), reason: "what \(name(left)) and \(name(right)) make is not in the vocabulary")
        }
        insert(first, second, Merge(rank: UInt32(rank), piece: both))
    }
}

extension Tokenizer {
    /// Sixteen times what the largest vocabularies have.
    static let maximumVocabularySize = 1 << 22
    static let maximumMergeCount = 1 << 23
}
