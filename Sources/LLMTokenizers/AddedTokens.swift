// Tokens that are found in the text before anything else: control tokens such as <|im_start|>, and words that a model's
// makers added to its vocabulary.

package struct AddedToken: Sendable, Hashable {
    package var id: Int32
    package var content: String
    /// A control token: not part of the text that people read.
    package var isSpecial: Bool
    /// Takes white space before or after it along.
    package var stripsLeft = false
    package var stripsRight = false
    /// Found only where no letter or digit is next to it.
    package var isSingleWord = false

    package init(id: Int32, content: String, isSpecial: Bool) {
        self.id = id
        self.content = content
        self.isSpecial = isSpecial
    }
}

struct AddedTokens: Sendable {
    enum Part: Equatable {
        case text(Range<Int>)
        case token(Int32)
    }

    private let tokens: [AddedToken]
    private let scalars: [[Unicode.Scalar]]
    /// First character → indices into `tokens`, longest first.
    private let byFirst: [Unicode.Scalar: [Int]]

    init(_ tokens: [AddedToken]) {
        self.tokens = tokens
        let scalars = tokens.map { Array($0.content.unicodeScalars) }
        self.scalars = scalars
        var byFirst: [Unicode.Scalar: [Int]] = [:]
        for (index, content) in scalars.enumerated() {
            if let first = content.first { byFirst[first, default: []].append(index) }
        }
        self.byFirst = byFirst.mapValues { $0.sorted { scalars[$0].count > scalars[$1].count } }
    }

    /// The text cut at its added tokens: leftmost first, the longest of several.
    /// - Parameter parseSpecial: false treats special tokens as plain text.
    func split(_ text: [Unicode.Scalar], parseSpecial: Bool) -> [Part] {
        guard !tokens.isEmpty else { return text.isEmpty ? [] : [.text(0..<text.count)] }
        var parts: [Part] = []
        var start = 0
        var place = 0
        while place < text.count {
            guard let index = match(text, at: place, parseSpecial: parseSpecial) else {
                place += 1
                continue
            }
            var end = place
            if tokens[index].stripsLeft {
                while end > start, CharacterClass(text[end - 1]) == .space { end -= 1 }
            }
            if end > start { parts.append(.text(start..<end)) }
            parts.append(.token(tokens[index].id))
            place += scalars[index].count
            if tokens[index].stripsRight {
                while place < text.count, CharacterClass(text[place]) == .space { place += 1 }
            }
            start = place
        }
        if start < text.count { parts.append(.text(start..<text.count)) }
        return parts
    }

    private func match(_ text: [Unicode.Scalar], at place: Int, parseSpecial: Bool) -> Int? {
        byFirst[text[place]]?.first { index in
            let content = scalars[index]
            guard parseSpecial || !tokens[index].isSpecial, text.count - place >= content.count,
                text[place..<place + content.count].elementsEqual(content)
            else { return false }
            guard tokens[index].isSingleWord else { return true }
            return !isWord(text, place - 1) && !isWord(text, place + content.count)
        }
    }

    private func isWord(_ text: [Unicode.Scalar], _ place: Int) -> Bool {
        guard text.indices.contains(place) else { return false }
        return text[place] == "_" || [.letter, .number].contains(CharacterClass(text[place]))
    }
}
