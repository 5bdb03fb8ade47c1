// Text to tokens and back. Stages of encoding: added tokens are cut out, the rest is normalised, cut into words, and each
// word is merged. Stages of decoding: each token contributes bytes, and bytes become characters.
import Foundation

package struct Tokenizer: Sendable {
    enum Model: Sendable {
        /// Words of bytes; `byteTokens` are the 256 pieces that merging starts from.
        case bytes(PreTokenizer, RankedMerges, byteTokens: [Int32], ignoresMerges: Bool)
        /// Whole text with spaces as U+2581; characters outside of the vocabulary become `byteTokens`.
        case characters(any MergeRules, byteTokens: [Int32])
    }

    let model: Model
    let normalizer: Normalizer
    /// Pieces as the vocabulary writes them.
    let pieces: [[UInt8]]
    let ids: [[UInt8]: Int32]
    let added: AddedTokens
    let addedByID: [Int32: AddedToken]
    /// Bytes that a token contributes to the text.
    let contributions: [[UInt8]]
    /// Byte tokens of a SentencePiece vocabulary: a run of them that is no UTF-8 becomes one U+FFFD per byte.
    let fallbackBytes: Set<Int32>
    /// The decoder drops one space at the beginning of the text.
    let dropsLeadingSpace: Bool
    let unknown: Int32?

    package let beginOfText: Int32?
    package let endOfText: Int32?
    /// `encode(addSpecialTokens: true)` begins with `beginOfText`.
    package let addsBeginOfText: Bool
    /// The same at the end.
    let addsEndOfText: Bool

    package var vocabularySize: Int { pieces.count }

    /// - Parameters:
    ///   - addSpecialTokens: put the model's begin-of-text token first, if it wants one.
    ///   - parseSpecialTokens: text such as `<|im_end|>` becomes its token; false takes it as plain text.
    package func encode(_ text: String, addSpecialTokens: Bool, parseSpecialTokens: Bool = true) -> [Int32] {
        var tokens: [Int32] = []
        if addSpecialTokens, addsBeginOfText, let beginOfText { tokens.append(beginOfText) }
        let scalars = Array(text.unicodeScalars)
        var isFirst = true
        for part in added.split(scalars, parseSpecial: parseSpecialTokens) {
            switch part {
            case .token(let id): tokens.append(id)
            case .text(let range): encode(normalizer.apply(scalars[range], isFirst: isFirst), into: &tokens)
            }
            isFirst = false
        }
        if addSpecialTokens, addsEndOfText, let endOfText { tokens.append(endOfText) }
        return tokens
    }

    /// Ids outside of the vocabulary contribute nothing. Bytes that are no UTF-8 become U+FFFD.
    package func decode(_ tokens: some Sequence<Int32>, skipSpecialTokens: Bool) -> String {
        var decoder = StreamingDecoder(self, skipsSpecialTokens: skipSpecialTokens)
        var text = ""
        for token in tokens { text += decoder.append(token) }
        return text + decoder.finish()
    }

    /// The bytes that the token contributes to a text; none for a special token.
    package func bytes(of token: Int32) -> [UInt8] {
        isSpecial(token) || !contributions.indices.contains(Int(token)) ? [] : contributions[Int(token)]
    }

    package func isSpecial(_ token: Int32) -> Bool { addedByID[token]?.isSpecial ?? false }

    /// The token with exactly this text.
    package func token(_ text: String) -> Int32? { ids[Array(text.utf8)] }

    /// The token as text: a special one as the vocabulary writes it, another one as the bytes that it contributes.
    package func text(of token: Int32) -> String? {
        guard contributions.indices.contains(Int(token)) else { return nil }
        return String(decoding: contributions[Int(token)], as: UTF8.self)
    }

    // MARK: Words

    private func encode(_ text: [Unicode.Scalar], into tokens: inout [Int32]) {
        switch model {
        case .bytes(let preTokenizer, let merges, let byteTokens, let ignoresMerges):
            preTokenizer.words(text) { range in
                var bytes: [UInt8] = []
                for scalar in text[range] { bytes.append(contentsOf: UTF8.encode(scalar)!) }
                if ignoresMerges, let whole = ids[Self.alphabetical(bytes)] {
                    tokens.append(whole)
                } else {
                    tokens += Merger.merge(bytes.map { byteTokens[Int($0)] }.filter { $0 >= 0 }, merges)
                }
            }
        case .characters(let merges, let byteTokens):
            let starts = text.map { scalar in ids[Array(UTF8.encode(scalar)!)] ?? -1 - Int32(scalar.value) }
            tokens += fallBack(Merger.merge(starts, merges), byteTokens)
        }
    }

    /// Characters without a piece, carried along as −1 − scalar, become their bytes, or the unknown token.
    private func fallBack(_ pieces: [Int32], _ byteTokens: [Int32]) -> [Int32] {
        guard pieces.contains(where: { $0 < 0 }) else { return pieces }
        var result: [Int32] = []
        for piece in pieces {
            guard piece < 0 else {
                result.append(piece)
                continue
            }
            let scalar = Unicode.Scalar(UInt32(-1 - piece))!
            if byteTokens.isEmpty {
                // Neighbouring unknown characters are one unknown token.
                if let unknown, result.last != unknown { result.append(unknown) }
            } else {
                result += UTF8.encode(scalar)!.map { byteTokens[Int($0)] }
            }
        }
        return result
    }

    private static func alphabetical(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { Array(UTF8.encode(ByteAlphabet.characters[Int($0)])!) }
    }
}
