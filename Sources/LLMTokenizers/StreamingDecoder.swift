// Tokens to text, one token at a time: only whole characters leave, so that pieces can be shown as they come.

package struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    /// Bytes of a character that is not complete yet.
    private var pending: [UInt8] = []
    /// Byte tokens of a SentencePiece vocabulary, whose whole run decides what they are.
    private var run: [UInt8] = []
    private var isAtStart = true

    package init(_ tokenizer: Tokenizer, skipsSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        self.skipsSpecialTokens = skipsSpecialTokens
    }

    /// The characters that are complete with this token.
    package mutating func append(_ token: Int32) -> String {
        guard tokenizer.contributions.indices.contains(Int(token)) else { return "" }
        let bytes = tokenizer.contributions[Int(token)]
        if tokenizer.fallbackBytes.contains(token) {
            run += bytes
            return ""
        }
        if skipsSpecialTokens, tokenizer.isSpecial(token) { return "" }
        var text = endOfRun()
        pending += bytes
        let complete = Self.completePrefix(pending)
        text += dropSpace(String(decoding: pending[..<complete], as: UTF8.self))
        pending.removeFirst(complete)
        return text
    }

    /// The rest: U+FFFD for a broken character at the end.
    package mutating func finish() -> String {
        let text = endOfRun() + dropSpace(String(decoding: pending, as: UTF8.self))
        pending = []
        return text
    }

    private mutating func endOfRun() -> String {
        guard !run.isEmpty else { return "" }
        defer { run = [] }
        return dropSpace(String(validating: run, as: UTF8.self) ?? String(repeating: "\u{FFFD}", count: run.count))
    }

    private mutating func dropSpace(_ text: String) -> String {
        guard isAtStart, !text.isEmpty else { return text }
        isAtStart = false
        return tokenizer.dropsLeadingSpace && text.hasPrefix(" ") ? String(text.dropFirst()) : text
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
