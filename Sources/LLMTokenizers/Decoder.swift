// What each token contributes to the decoded text.

struct Decoder: Sendable {
    enum Kind: Sendable, Hashable {
        /// Tokens are bytes; what is no UTF-8 becomes U+FFFD.
        case bytes
        /// Tokens are text, but for the byte tokens: a run of them is decoded as a whole, and becomes one U+FFFD a byte
        /// if it is no UTF-8.
        case characters
    }

    var kind: Kind
    var contributions: ByteStrings
    /// Byte tokens of the kind `.characters`.
    var isByte: [Bool]
    /// So many spaces at the beginning of the text are left out.
    var strippedSpaces = 0
    /// Of the first token, U+2581 becomes nothing instead of a space (Metaspace).
    var dropsMarksOfFirstToken = false

    static func bytes(_ pieces: ByteStrings) -> Decoder {
        var contributions = ByteStrings()
        for id in 0..<pieces.count { contributions.append(ByteAlphabet.bytes(of: pieces[id])) }
        return Decoder(kind: .bytes, contributions: contributions, isByte: [])
    }

    /// - Parameters:
    ///   - replaced: what is put for what in each piece, as U+2581 → space.
    ///   - hasByteFallback: pieces `<0x00>` … `<0xFF>` are bytes.
    static func characters(_ pieces: ByteStrings, replaced: (of: [UInt8], by: [UInt8])?, hasByteFallback: Bool)
        -> Decoder
    {
        var contributions = ByteStrings()
        var isByte = Array(repeating: false, count: pieces.count)
        for id in 0..<pieces.count {
            let piece = pieces[id]
            let text = piece.withUnsafeBufferPointer { bytes in
                replaced.flatMap { TextStep.replace($0.of, $0.by, bytes) } ?? Array(bytes)
            }
            if hasByteFallback, let byte = byte(text) {
                isByte[id] = true
                contributions.append(CollectionOfOne(byte))
            } else if String(validating: text, as: UTF8.self) != nil {
                contributions.append(text)
            } else {
                // A GGUF file may hold a piece that is no text.
                contributions.append(Array(String(decoding: text, as: UTF8.self).utf8))
            }
        }
        return Decoder(kind: .characters, contributions: contributions, isByte: isByte)
    }

    /// The byte that `<0x1F>` stands for.
    private static func byte(_ piece: [UInt8]) -> UInt8? {
        guard piece.count == 6, piece.starts(with: "<0x".utf8), piece[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16)
    }
}
