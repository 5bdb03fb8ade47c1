// A tokenizer in the words of GGUF: for a copy of a Hugging Face model in that format. GGUF names the rules of a few
// families; what follows other rules is refused, since it would be read as other tokens.

extension VocabularyDescription {
    /// - Parameter tokenizer: of a `tokenizer.json`.
    /// - Throws: `unsupported` for rules that no GGUF file can say.
    package init(_ tokenizer: Tokenizer) throws(TokenizerError) {
        let pieces = tokenizer.index.pieces
        self.init(model: "", pre: "", tokens: (0..<pieces.count).map { Array(pieces[$0]) })
        types = Array(repeating: TokenType.normal, count: pieces.count)
        for id in tokens.indices where tokens[id].isEmpty {
            types[id] = TokenType.unused
            tokens[id] = Array("[PAD\(id)]".utf8)
        }
        try setAddedTokens(tokenizer)
        try setText(tokenizer)
        switch tokenizer.model {
        case .bytes(let model): try setByteLevel(model, tokenizer)
        case .characters(let model): try setSentencePiece(model, tokenizer)
        }
    }

    /// Fills up to `count` tokens, as embeddings have more rows than their vocabularies.
    package mutating func pad(to count: Int) {
        let lowest = scores.min()
        for id in tokens.count..<max(tokens.count, count) {
            tokens.append(Array("[PAD\(id)]".utf8))
            types.append(TokenType.unused)
            if let lowest { scores.append(lowest) }
        }
    }

    private mutating func setAddedTokens(_ tokenizer: Tokenizer) throws(TokenizerError) {
        for token in tokenizer.added.tokens + tokenizer.normalizedAdded.tokens {
            let text = tokens[Int(token.id)]
            func unsupported(_ what: String) -> TokenizerError {
                .unsupported(
                    field: "added_tokens", value: "\"\(String(decoding: text.prefix(64), as: UTF8.self))\" \(what)")
            }
            if token.stripsLeft || token.stripsRight { throw unsupported("takes white space along") }
            if token.isSingleWord { throw unsupported("is found as a word alone") }
            guard token.content == text else { throw unsupported("is looked for in the normalised text") }
            types[Int(token.id)] = token.isSpecial ? TokenType.control : TokenType.userDefined
        }
    }

    /// What is put around a text.
    private mutating func setText(_ tokenizer: Tokenizer) throws(TokenizerError) {
        beginOfText = tokenizer.beginOfText
        endOfText = tokenizer.endOfText
        let (prefix, suffix) = (tokenizer.postProcessor.prefix, tokenizer.postProcessor.suffix)
        guard prefix.isEmpty || prefix == [beginOfText], suffix.isEmpty || suffix == [endOfText] else {
            throw .unsupported(field: "post_processor", value: "tokens \(prefix) before and \(suffix) after a text")
        }
        addsBeginOfText = !prefix.isEmpty
        addsEndOfText = !suffix.isEmpty
    }

    private mutating func setByteLevel(_ bpe: BPE, _ tokenizer: Tokenizer) throws(TokenizerError) {
        model = "gpt2"
        let composes = tokenizer.normalizer.steps == [.compose]
        let family = ByteFamily.all.first {
            $0.preTokenizer == tokenizer.preTokenizer && $0.composes == composes
                && $0.ignoresMerges == bpe.ignoresMerges
        }
        guard let family, composes || tokenizer.normalizer.steps.isEmpty, tokenizer.preparation.steps.isEmpty else {
            throw .unsupported(field: "pre_tokenizer", value: "rules that have no name in GGUF files")
        }
        guard bpe.unknown.token == nil || !bpe.byteTokens.contains(nil) else {
            throw .unsupported(field: "model.unk_token", value: "a token for bytes that have no piece")
        }
        pre = family.names[0]
        merges = bpe.merges.list.map { tokens[Int($0.left)] + [UInt8(ascii: " ")] + tokens[Int($0.right)] }
    }

    // MARK: SentencePiece

    private mutating func setSentencePiece(_ bpe: SentencePieceBPE, _ tokenizer: Tokenizer) throws(TokenizerError) {
        model = "llama"
        pre = "default"
        switch tokenizer.normalizer.steps {
        case [.marksSpaces]: addsSpacePrefix = false
        case [.prepend(TextStep.mark), .marksSpaces]: addsSpacePrefix = true
        default: throw .unsupported(field: "normalizer", value: "rules that GGUF files can't say")
        }
        // Without spaces there is nothing after which a cut could be.
        guard [.characters(.whole), .characters(.afterSpaces)].contains(tokenizer.preTokenizer),
            tokenizer.preparation.steps.isEmpty, !bpe.ignoresMerges
        else { throw .unsupported(field: "pre_tokenizer", value: "rules that GGUF files can't say") }
        guard try bpe.byteTokens.isEmpty == SentencePieceBPE.byteTokens(bpe.index).isEmpty else {
            throw .unsupported(field: "model.byte_fallback", value: "false, with pieces for bytes")
        }
        for id in bpe.byteTokens { types[Int(id)] = TokenType.byte }
        unknown = bpe.unknown.token
        if let unknown { types[Int(unknown)] = TokenType.unknown }
        guard case .ranked(let merges) = bpe.rules else { preconditionFailure("a tokenizer.json lists its merges") }
        scores = try scores(merges, bpe.index)
    }

    private func isMergeable(_ id: Int32) -> Bool {
        types[Int(id)] == TokenType.normal || types[Int(id)] == TokenType.userDefined
    }

    /// GGUF files have a score for each piece instead of a list of merges, and any two neighbours that make a piece are
    /// merged, the best score first. That is the same only if the list holds every such pair, and those of one piece
    /// together: it does when it was made from a SentencePiece model.
    private func scores(_ merges: RankedMerges, _ index: PieceIndex) throws(TokenizerError) -> [Float] {
        func unsupported(_ id: Int32, _ what: String) -> TokenizerError {
            .unsupported(
                field: "model.merges",
                value: "\"\(String(decoding: tokens[Int(id)].prefix(64), as: UTF8.self))\" \(what)")
        }
        var scores = Array(repeating: Float.nan, count: tokens.count)
        var (made, place) = (Int32(-1), Float(0))
        for (left, right, merge) in merges.list {
            if merge.piece != made {
                guard scores[Int(merge.piece)].isNaN else { throw unsupported(merge.piece, "is made by merges apart") }
                scores[Int(merge.piece)] = -place
                (made, place) = (merge.piece, place + 1)
            }
            guard [left, right, merge.piece].allSatisfy(isMergeable) else {
                throw unsupported(merge.piece, "is merged of or to a special token")
            }
        }
        for id in tokens.indices where isMergeable(Int32(id)) {
            // One that was added is cut out of the text before, unless spaces would first have to become marks.
            let text = tokens[id]
            let isCutOut = types[id] == TokenType.userDefined && scores[id].isNaN && !text.contains(TextStep.mark[0])
            for split in text.indices.dropFirst() where !isCutOut && text[split] & 0xC0 != 0x80 {
                guard let left = index.find(text[..<split]), let right = index.find(text[split...]),
                    isMergeable(left), isMergeable(right), merges.merge(left, right) == nil
                else { continue }
                throw unsupported(Int32(id), "is not made of all its parts, as in SentencePiece models")
            }
            if scores[id].isNaN { scores[id] = -place }
        }
        return scores.map { $0.isNaN ? 0 : $0 }
    }
}
