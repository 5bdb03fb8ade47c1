// Cuts text into words before merging. Each case is the published pattern of a model family, written as a scanner: a
// backtracking regular expression would dominate the time of encoding.

package enum PreTokenizer: Sendable, Hashable {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    case gpt2
    /// Every digit on its own first, then GPT-2's pattern in what is between.
    case smollm
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
    /// with one digit (Qwen 2 and 3) or three (Llama 3).
    case gpt4(digits: Int)

    /// Calls `body` with each word's range of scalars, in order, without gaps.
    func words(_ text: [Unicode.Scalar], _ body: (Range<Int>) -> Void) {
        let classes = text.map(CharacterClass.init)
        switch self {
        case .gpt2: Scanner(text: text, classes: classes, range: 0..<text.count).gpt2(body)
        case .gpt4(let digits): Scanner(text: text, classes: classes, range: 0..<text.count).gpt4(digits, body)
        case .smollm:
            var start = 0
            for place in 0...text.count where place == text.count || classes[place] == .number {
                Scanner(text: text, classes: classes, range: start..<place).gpt2(body)
                if place < text.count { body(place..<place + 1) }
                start = place + 1
            }
        }
    }
}

/// Matches one alternative after the other at each place, as the pattern would.
private struct Scanner {
    let text: [Unicode.Scalar]
    let classes: [CharacterClass]
    let range: Range<Int>

    func gpt2(_ body: (Range<Int>) -> Void) {
        var place = range.lowerBound
        while place < range.upperBound {
            let end =
                contraction(place, ignoringCase: false)
                ?? run(of: .letter, afterSpaceAt: place) ?? run(of: .number, afterSpaceAt: place)
                ?? run(of: .other, afterSpaceAt: place) ?? spaces(place)
            body(place..<end)
            place = end
        }
    }

    func gpt4(_ digits: Int, _ body: (Range<Int>) -> Void) {
        var place = range.lowerBound
        while place < range.upperBound {
            let end =
                contraction(place, ignoringCase: true) ?? letters(place) ?? numbers(place, atMost: digits)
                ?? symbols(place) ?? lineBreaks(place) ?? spaces(place)
            body(place..<end)
            place = end
        }
    }

    // MARK: Alternatives; nil where one does not match

    private func contraction(_ place: Int, ignoringCase: Bool) -> Int? {
        guard text[place] == "'" else { return nil }
        func letter(_ offset: Int) -> Unicode.Scalar? {
            guard place + offset < range.upperBound else { return nil }
            let scalar = text[place + offset]
            guard ignoringCase else { return scalar }
            // U+017F folds to s, as it does in the pattern's case-insensitive group.
            return scalar == "\u{17F}" ? "s" : scalar.properties.lowercaseMapping.unicodeScalars.first
        }
        switch (letter(1), letter(2)) {
        case ("s", _), ("t", _), ("m", _), ("d", _): return place + 2
        case ("r", "e"), ("v", "e"), ("l", "l"): return place + 3
        default: return nil
        }
    }

    /// ` ?` and one or more of a class.
    private func run(of kind: CharacterClass, afterSpaceAt place: Int) -> Int? {
        let start = text[place] == " " ? place + 1 : place
        let end = skip(kind, from: start)
        return end > start ? end : nil
    }

    /// `[^\r\n\p{L}\p{N}]?\p{L}+`
    private func letters(_ place: Int) -> Int? {
        if classes[place] == .letter { return skip(.letter, from: place) }
        guard classes[place] != .number, !isLineBreak(place) else { return nil }
        let end = skip(.letter, from: place + 1)
        return end > place + 1 ? end : nil
    }

    private func numbers(_ place: Int, atMost count: Int) -> Int? {
        let end = min(skip(.number, from: place), place + count)
        return end > place ? end : nil
    }

    /// ` ?[^\s\p{L}\p{N}]+[\r\n]*`
    private func symbols(_ place: Int) -> Int? {
        guard var end = run(of: .other, afterSpaceAt: place) else { return nil }
        while end < range.upperBound, isLineBreak(end) { end += 1 }
        return end
    }

    /// `\s*[\r\n]+`: up to the last line break of the white space.
    private func lineBreaks(_ place: Int) -> Int? {
        var end = skip(.space, from: place)
        while end > place, !isLineBreak(end - 1) { end -= 1 }
        return end > place ? end : nil
    }

    /// `\s+(?!\S)|\s+`: all white space but the last before a word, which belongs to it; at least one.
    private func spaces(_ place: Int) -> Int {
        let end = skip(.space, from: place)
        return end < range.upperBound && end - place > 1 ? end - 1 : end
    }

    private func skip(_ kind: CharacterClass, from start: Int) -> Int {
        var end = start
        while end < range.upperBound, classes[end] == kind { end += 1 }
        return end
    }

    private func isLineBreak(_ place: Int) -> Bool { text[place] == "\r" || text[place] == "\n" }
}
