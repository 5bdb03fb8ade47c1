// Tokens to text, one token at a time: only whole characters leave, so that pieces can be shown as they come.

/// The texts that `append` and `finish` return, put together, are what `Tokenizer.decode` returns.
package struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    /// Bytes whose text is not certain yet: the beginning of a character, or a run of byte tokens.
    private var pending: [UInt8] = []
    private var spacesToStrip: Int
    private var isAtFirstToken = true

    package init(_ tokenizer: Tokenizer, skipsSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        self.skipsSpecialTokens = skipsSpecialTokens
        spacesToStrip = tokenizer.decoder.strippedSpaces
    }

    /// The characters that are complete with this token. An id outside of the vocabulary contributes nothing.
    package mutating func append(_ token: Int32) -> String {
        let decoder = tokenizer.decoder
        guard (0..<decoder.contributions.count).contains(Int(token)) else { return "" }
        if skipsSpecialTokens, tokenizer.isSpecial(token) { return "" }
        switch decoder.kind {
        case .bytes:
            pending.append(contentsOf: decoder.contributions[Int(token)])
            let complete = Self.completePrefix(pending)
            if complete == 0 { return "" }
            let text = String(decoding: pending[..<complete], as: UTF8.self)
            pending.removeFirst(complete)
            return text
        case .characters:
            defer { isAtFirstToken = false }
            if decoder.isByte[Int(token)] {
                pending.append(contentsOf: decoder.contributions[Int(token)])
                return ""
            }
            var bytes = decoder.contributions[Int(token)]
            if isAtFirstToken, decoder.dropsMarksOfFirstToken { bytes = ArraySlice(tokenizer.withoutMarks(token)) }
            let text = endOfRun() + String(decoding: bytes, as: UTF8.self)
            return strip(text)
        }
    }

    /// The rest: U+FFFD for a broken character at the end.
    package mutating func finish() -> String {
        let text =
            switch tokenizer.decoder.kind {
            case .bytes: String(decoding: pending, as: UTF8.self)
            case .characters: strip(endOfRun())
            }
        pending = []
        return text
    }

    private mutating func endOfRun() -> String {
        guard !pending.isEmpty else { return "" }
        defer { pending.removeAll(keepingCapacity: true) }
        return String(validating: pending, as: UTF8.self) ?? String(repeating: "\u{FFFD}", count: pending.count)
    }

    private mutating func strip(_ text: String) -> String {
        guard spacesToStrip > 0, !text.isEmpty else { return text }
        let spaces = text.utf8.prefix(spacesToStrip).prefix { $0 == UInt8(ascii: " ") }.count
        spacesToStrip = spaces < text.utf8.count ? 0 : spacesToStrip - spaces
        return String(decoding: text.utf8.dropFirst(spaces), as: UTF8.self)
    }

    /// Bytes up to a character at the end that further bytes may complete.
    private static func completePrefix(_ bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            if byte < 0x80 { break }
            if byte >= 0xC0 {
                let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
                return length > back && isPrefix(bytes[(bytes.count - back)...]) ? bytes.count - back : bytes.count
            }
        }
        return bytes.count
    }

    /// True when these bytes can be the beginning of a character: otherwise nothing can complete them.
    private static func isPrefix(_ bytes: ArraySlice<UInt8>) -> Bool {
        let lead = bytes.first!
        guard (0xC2...0xF4).contains(lead) else { return false }
        guard let second = bytes.dropFirst().first else { return true }
        return switch lead {
        case 0xE0: second >= 0xA0
        case 0xED: second < 0xA0
        case 0xF0: second >= 0x90
        case 0xF4: second < 0x90
        default: true
        }
    }
}
