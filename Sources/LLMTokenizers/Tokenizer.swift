// Text to tokens and back. Stages of encoding: added tokens are cut out, the rest is normalised, cut into words, and each
// word is merged. Stages of decoding: each token contributes bytes, and bytes become characters.

package struct Tokenizer: Sendable {
    enum Model: Sendable {
        case bytes(BPE)
        case characters(SentencePieceBPE)
    }

    let index: PieceIndex
    let model: Model
    let normalizer: Normalizer
    /// Steps of the pre-tokeniser, which see the text after normalised added tokens are cut out.
    let preparation: Normalizer
    let preTokenizer: PreTokenizer
    /// Looked for in the text as it is, and in the normalised text.
    let added: AddedTokens
    let normalizedAdded: AddedTokens
    let postProcessor: PostProcessor
    let decoder: Decoder
    let special: Set<Int32>

    package let beginOfText: Int32?
    package let endOfText: Int32?

    /// Ids are smaller than this; not every one has to be in use.
    package var vocabularySize: Int { index.pieces.count }

    /// `encode(addSpecialTokens: true)` begins with `beginOfText`.
    package var addsBeginOfText: Bool { beginOfText != nil && postProcessor.prefix.first == beginOfText }

    /// - Parameters:
    ///   - addSpecialTokens: put the model's begin-of-text token first, if it wants one.
    ///   - parseSpecialTokens: text such as `<|im_end|>` becomes its token; false takes it as plain text.
    package func encode(_ text: String, addSpecialTokens: Bool, parseSpecialTokens: Bool = true) -> [Int32] {
        var tokens = addSpecialTokens ? postProcessor.prefix : []
        var merger = Merger()
        var text = text
        text.withUTF8 { bytes in
            var isFirst = true
            added.split(bytes, parseSpecial: parseSpecialTokens) { part in
                switch part {
                case .token(let id): tokens.append(id)
                case .text(let range):
                    encodePart(UTF8Bytes(rebasing: bytes[range]), isFirst, parseSpecialTokens, &merger, &tokens)
                }
                isFirst = false
            }
        }
        return addSpecialTokens ? tokens + postProcessor.suffix : tokens
    }

    /// Ids outside of the vocabulary contribute nothing. Bytes that are no UTF-8 become U+FFFD.
    package func decode(_ tokens: some Sequence<Int32>, skipSpecialTokens: Bool) -> String {
        var decoder = StreamingDecoder(self, skipsSpecialTokens: skipSpecialTokens)
        var text = ""
        for token in tokens { text += decoder.append(token) }
        return text + decoder.finish()
    }

    /// A text loses the space that its first token begins with.
    package var stripsFirstSpace: Bool { decoder.strippedSpaces > 0 || decoder.dropsMarksOfFirstToken }

    /// The bytes that the token contributes to a text; none for a special token and for an id outside of the vocabulary.
    package func bytes(of token: Int32) -> [UInt8] {
        guard (0..<vocabularySize).contains(Int(token)), !isSpecial(token) else { return [] }
        return Array(decoder.contributions[Int(token)])
    }

    package func isSpecial(_ token: Int32) -> Bool { special.contains(token) }

    /// The token with exactly this text, in the spelling of the vocabulary.
    package func token(_ text: String) -> Int32? { index.find(Array(text.utf8)) }

    /// The token as text: a special one as the vocabulary writes it, another one as the bytes that it contributes.
    package func text(of token: Int32) -> String? {
        guard (0..<vocabularySize).contains(Int(token)) else { return nil }
        return String(decoding: decoder.contributions[Int(token)], as: UTF8.self)
    }

    // MARK: Parts

    private func encodePart(
        _ part: UTF8Bytes, _ isFirst: Bool, _ parseSpecial: Bool, _ merger: inout Merger, _ tokens: inout [Int32]
    ) {
        withChanges(normalizer.apply(part, isFirst: isFirst), part) { text in
            if normalizedAdded.isEmpty { return encodeText(text, isFirst, &merger, &tokens) }
            var isFirst = isFirst
            normalizedAdded.split(text, parseSpecial: parseSpecial) { part in
                switch part {
                case .token(let id): tokens.append(id)
                case .text(let range): encodeText(UTF8Bytes(rebasing: text[range]), isFirst, &merger, &tokens)
                }
                isFirst = false
            }
        }
    }

    private func encodeText(_ text: UTF8Bytes, _ isFirst: Bool, _ merger: inout Merger, _ tokens: inout [Int32]) {
        withChanges(preparation.apply(text, isFirst: isFirst), text) { text in
            var words = WordCutter(text, preTokenizer)
            switch model {
            case .bytes(let bpe):
                while let range = words.next() {
                    bpe.encode(UTF8Bytes(rebasing: text[range]), &merger, into: &tokens)
                }
            case .characters(let bpe):
                while let range = words.next() {
                    bpe.encode(UTF8Bytes(rebasing: text[range]), &merger, into: &tokens)
                }
            }
        }
    }

    private func withChanges(_ changed: [UInt8]?, _ text: UTF8Bytes, _ body: (UTF8Bytes) -> Void) {
        if let changed { changed.withUnsafeBufferPointer(body) } else { body(text) }
    }

    /// What the token contributes where its U+2581 don't count.
    func withoutMarks(_ token: Int32) -> [UInt8] {
        let piece = index.pieces[Int(token)]
        return piece.withUnsafeBufferPointer { TextStep.replace(TextStep.mark, [], $0) } ?? Array(piece)
    }
}
