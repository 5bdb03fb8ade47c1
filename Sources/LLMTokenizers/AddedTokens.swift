// Tokens that are found in the text before anything else: control tokens such as <|im_start|>, and words that a model's
// makers added to its vocabulary.

package struct AddedToken: Sendable, Hashable {
    package var id: Int32
    package var content: [UInt8]
    /// A control token: not part of the text that people read.
    package var isSpecial: Bool
    /// Takes white space before or after it along.
    package var stripsLeft = false
    package var stripsRight = false
    /// Found only where no letter or digit is next to it.
    package var isSingleWord = false
    /// Looked for in the normalised text.
    package var isNormalized = false

    package init(id: Int32, content: [UInt8], isSpecial: Bool) {
        self.id = id
        self.content = content
        self.isSpecial = isSpecial
    }
}

/// Finds added tokens: leftmost first, the longest of several.
struct AddedTokens: Sendable {
    enum Part: Equatable {
        case text(Range<Int>)
        case token(Int32)
    }

    let tokens: [AddedToken]
    /// A tree of bytes: (node, byte) → node; node 0 is the root.
    private var children: [UInt32: UInt32] = [:]
    private var roots = Array(repeating: UInt32(0), count: 256)
    /// Node → index into `tokens`.
    private var ends: [Int32] = [-1]

    /// Matching costs this much for each byte of text at worst.
    static let maximumLength = 1024

    var isEmpty: Bool { tokens.isEmpty }

    /// - Precondition: no content is longer than `maximumLength`. Of two tokens with one content the first one counts.
    init(_ tokens: [AddedToken]) {
        self.tokens = tokens
        for (index, token) in tokens.enumerated() where !token.content.isEmpty {
            var node: UInt32 = 0
            for byte in token.content {
                let key = node << 8 | UInt32(byte)
                if let child = children[key] {
                    node = child
                } else {
                    let child = UInt32(ends.count)
                    ends.append(-1)
                    children[key] = child
                    if node == 0 { roots[Int(byte)] = child }
                    node = child
                }
            }
            if ends[Int(node)] < 0 { ends[Int(node)] = Int32(index) }
        }
    }

    /// The text cut at its added tokens.
    /// - Parameter parseSpecial: false treats special tokens as plain text.
    func split(_ text: UTF8Bytes, parseSpecial: Bool, _ body: (Part) -> Void) {
        var start = 0
        var place = 0
        while !tokens.isEmpty, place < text.count {
            guard let (token, length) = match(text, at: place) else {
                place += 1
                continue
            }
            var (begin, end) = (place, place + length)
            place = end
            if token.isSpecial && !parseSpecial { continue }
            if token.isSingleWord && (isWord(text, before: begin) || isWord(text, at: end)) { continue }
            if token.stripsLeft {
                while begin > start, isSpace(text, text.start(before: begin)) { begin = text.start(before: begin) }
            }
            // A token before this one may have taken its first characters as white space.
            begin = max(begin, start)
            if token.stripsRight {
                while end < text.count, isSpace(text, end) { end += text.scalar(at: end).length }
            }
            if begin > start { body(.text(start..<begin)) }
            body(.token(token.id))
            start = end
            place = max(place, end)
        }
        if start < text.count { body(.text(start..<text.count)) }
    }

    private func match(_ text: UTF8Bytes, at place: Int) -> (AddedToken, length: Int)? {
        var node = roots[Int(text[place])]
        var end = place + 1
        var found: (Int32, Int)?
        while node != 0 {
            if ends[Int(node)] >= 0 { found = (ends[Int(node)], end - place) }
            guard end < text.count, let child = children[node << 8 | UInt32(text[end])] else { break }
            node = child
            end += 1
        }
        return found.map { (tokens[Int($0.0)], $0.1) }
    }

    // MARK: Neighbours

    private func isSpace(_ text: UTF8Bytes, _ place: Int) -> Bool {
        CharacterClass.of(text.scalar(at: place).value) == .space
    }

    private func isWord(_ text: UTF8Bytes, before place: Int) -> Bool {
        place > 0 && isWord(text, at: text.start(before: place))
    }

    /// What `\w` matches (Unicode TR 18).
    private func isWord(_ text: UTF8Bytes, at place: Int) -> Bool {
        guard place < text.count, let properties = Unicode.Scalar(text.scalar(at: place).value)?.properties else {
            return false
        }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return properties.isAlphabetic || properties.isJoinControl
        }
    }
}
