// A tokenizer.json, and what tokenizer_config.json adds to it.
import JSON

extension Tokenizer {
    /// - Parameters:
    ///   - tokenizerJSON: the text of `tokenizer.json`.
    ///   - configurationJSON: the text of `tokenizer_config.json`, which names the begin- and end-of-text tokens.
    package init(tokenizerJSON: [UInt8], configurationJSON: [UInt8]?) throws(TokenizerError) {
        var cursor = JSONCursor(tokenizerJSON, field: "tokenizer.json")
        let members = try cursor.members()
        try cursor.finish()
        func part(_ name: String) throws(TokenizerError) -> JSONValue? {
            // A JSON value can be written as nil, and that is null: none is spelt out.
            guard let range = members[name] else { return Optional.none }
            let value = try JSONValue.part(tokenizerJSON, range, field: name)
            if value == .null { return Optional.none }
            return value
        }
        guard let range = members["model"] else { throw .invalid(field: "model", reason: "the model is missing") }
        var vocabulary = try HuggingFaceVocabulary(tokenizerJSON, range)
        let added = try AddedToken.list(try part("added_tokens"), &vocabulary.pieces)
        let index = PieceIndex(vocabulary.pieces)
        self.index = index
        special = Set(added.filter(\.isSpecial).map(\.id))

        normalizer = try Normalizer(huggingFace: try part("normalizer"))
        let cutter = try HuggingFacePreTokenizer(try part("pre_tokenizer"))
        preparation = cutter.preparation
        preTokenizer = cutter.preTokenizer
        let merges = try vocabulary.rankedMerges(index)
        let unknown = try vocabulary.unknown(index)
        let ignoresMerges = vocabulary.flag("ignore_merges")
        switch cutter.preTokenizer {
        case .bytes:
            model = .bytes(BPE(index, merges, unknown: unknown, ignoresMerges: ignoresMerges))
        case .characters:
            let byteTokens = vocabulary.flag("byte_fallback") ? try SentencePieceBPE.byteTokens(index) : []
            model = .characters(
                SentencePieceBPE(
                    index, .ranked(merges), byteTokens: byteTokens, unknown: unknown, ignoresMerges: ignoresMerges))
        }

        self.added = AddedTokens(added.filter { !$0.isNormalized })
        let normalizer = normalizer
        let normalized = added.filter(\.isNormalized).map { token in
            var token = token
            let content = token.content.withUnsafeBufferPointer { normalizer.apply($0, isFirst: true) }
            if let content { token.content = content }
            return token
        }
        normalizedAdded = AddedTokens(normalized)
        // Decoding spells them as they were looked for.
        var spellings = index.pieces
        for token in normalized { spellings.set(token.content, at: Int(token.id)) }
        decoder = try Decoder(huggingFace: try part("decoder"), spellings)

        var postProcessor = try PostProcessor(huggingFace: try part("post_processor"))
        let configuration = try Configuration(configurationJSON, index)
        beginOfText = configuration.beginOfText ?? postProcessor.prefix.first
        endOfText = configuration.endOfText
        if let wants = configuration.addsTokens {
            postProcessor.prefix = wants.begin ? configuration.beginOfText.map { [$0] } ?? [] : []
            postProcessor.suffix = wants.end ? configuration.endOfText.map { [$0] } ?? [] : []
        }
        for id in postProcessor.prefix + postProcessor.suffix where !(0..<index.pieces.count).contains(Int(id)) {
            throw .invalid(field: "post_processor.special_tokens", reason: "token \(id) is outside of the vocabulary")
        }
        self.postProcessor = postProcessor
    }
}

/// What tokenizer_config.json says.
private struct Configuration {
    var beginOfText: Int32?
    var endOfText: Int32?
    /// `add_bos_token` and `add_eos_token`, which replace the post-processor where one of them is there.
    var addsTokens: (begin: Bool, end: Bool)?

    init(_ text: [UInt8]?, _ index: PieceIndex) throws(TokenizerError) {
        guard let text else { return }
        let value = try JSONValue.part(text, text.indices, field: "tokenizer_config.json")
        func token(_ name: String) throws(TokenizerError) -> Int32? {
            guard let entry = value[name], entry != .null else { return nil }
            guard let content = entry.stringValue ?? entry["content"]?.stringValue else {
                throw .invalid(
                    field: "tokenizer_config.json: \(name)",
                    reason: "a string is expected, or an object with \"content\"")
            }
            guard let id = index.find(Array(content.utf8)) else {
                throw .invalid(
                    field: "tokenizer_config.json: \(name)",
                    reason: "\"\(content.prefix(64))\" is not in the vocabulary")
            }
            return id
        }
        beginOfText = try token("bos_token")
        endOfText = try token("eos_token")
        let (begin, end) = (value["add_bos_token"]?.boolValue, value["add_eos_token"]?.boolValue)
        if begin != nil || end != nil { addsTokens = (begin ?? false, end ?? false) }
    }
}

extension AddedToken {
    /// Puts the tokens into the vocabulary, where they may be already.
    fileprivate static func list(
        _ value: JSONValue?, _ pieces: inout ByteStrings
    ) throws(TokenizerError) -> [AddedToken] {
        var tokens: [AddedToken] = []
        for (place, entry) in (value?.arrayValue ?? []).enumerated() {
            func fail(_ reason: String) -> TokenizerError {
                .invalid(field: "added_tokens[\(place)]", reason: reason)
            }
            guard let content = entry["content"]?.stringValue.map({ Array($0.utf8) }) else {
                throw fail("\"content\" is missing")
            }
            guard content.count <= AddedTokens.maximumLength else {
                throw fail("\"content\" has \(content.count) bytes")
            }
            guard let id = entry["id"]?.intValue, (0..<Tokenizer.maximumVocabularySize).contains(id) else {
                throw fail("\"id\" is no token")
            }
            if id < pieces.count, pieces.length(id) > 0 {
                guard pieces[id].elementsEqual(content) else {
                    throw fail("id \(id) belongs to \"\(String(decoding: pieces[id].prefix(64), as: UTF8.self))\"")
                }
            } else {
                pieces.set(content, at: id)
            }
            let isSpecial = entry["special"]?.boolValue ?? false
            var token = AddedToken(id: Int32(id), content: content, isSpecial: isSpecial)
            token.stripsLeft = entry["lstrip"]?.boolValue ?? false
            token.stripsRight = entry["rstrip"]?.boolValue ?? false
            token.isSingleWord = entry["single_word"]?.boolValue ?? false
            token.isNormalized = entry["normalized"]?.boolValue ?? !isSpecial
            tokens.append(token)
        }
        return tokens
    }
}
