// The patterns of WordPattern as scanners: alternative after alternative at one place, as a backtracking expression would
// try them, without its cost. Every scan looks at a run of characters a fixed number of times.

struct WordScanner {
    let text: UTF8Bytes
    /// The pattern sees the text up to here.
    let limit: Int

    /// Where the word that begins at `place` ends.
    func gpt2(_ place: Int) -> Int {
        if let end = contraction(place, ignoringCase: false) { return end }
        let start = text[place] == UInt8(ascii: " ") ? place + 1 : place
        guard start < limit else { return limit }
        let (kind, length) = look(at: start)
        return kind == .space ? spaces(place) : skip(kind, from: start + length)
    }

    func gpt4(_ digits: Int, _ place: Int) -> Int {
        if let end = contraction(place, ignoringCase: true) { return end }
        let (kind, length) = look(at: place)
        switch kind {
        case .letter: return skip(.letter, from: place + length)
        case .number: return numbers(place, atMost: digits)
        default: break
        }
        // `[^\r\n\p{L}\p{N}]?\p{L}+`
        if !isLineBreak(place), place + length < limit {
            let (next, nextLength) = look(at: place + length)
            if next == .letter { return skip(.letter, from: place + length + nextLength) }
        }
        // ` ?[^\s\p{L}\p{N}]+[\r\n]*`
        let start = text[place] == UInt8(ascii: " ") ? place + 1 : place
        if start < limit, look(at: start).kind == .other {
            var end = skip(.other, from: start)
            while end < limit, isLineBreak(end) { end += 1 }
            return end
        }
        return lineBreaks(place) ?? spaces(place)
    }

    // MARK: Alternatives; nil where one does not match

    private func contraction(_ place: Int, ignoringCase: Bool) -> Int? {
        guard text[place] == UInt8(ascii: "'") else { return nil }
        func letter(_ offset: Int) -> UInt8 {
            guard place + offset < limit else { return 0 }
            let byte = text[place + offset]
            return ignoringCase && (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
        }
        switch (letter(1), letter(2)) {
        case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _), (UInt8(ascii: "d"), _):
            return place + 2
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
            (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return place + 3
        // U+017F, the long s, is an s to a pattern that ignores case.
        case (0xC5, 0xBF): return ignoringCase ? place + 3 : nil
        default: return nil
        }
    }

    private func numbers(_ place: Int, atMost count: Int) -> Int {
        var end = place
        for _ in 0..<count where end < limit {
            let (kind, length) = look(at: end)
            guard kind == .number else { break }
            end += length
        }
        return end
    }

    /// `\s*[\r\n]+`: up to the last line break of the white space.
    private func lineBreaks(_ place: Int) -> Int? {
        var end: Int?
        var next = place
        while next < limit {
            let (kind, length) = look(at: next)
            guard kind == .space else { break }
            next += length
            if isLineBreak(next - length) { end = next }
        }
        return end
    }

    /// `\s+(?!\S)|\s+`: all white space but the last before a word, which belongs to it; at least one.
    private func spaces(_ place: Int) -> Int {
        var end = place
        var last = place
        while end < limit {
            let (kind, length) = look(at: end)
            guard kind == .space else { return last > place ? last : end }
            last = end
            end += length
        }
        return end
    }

    private func skip(_ kind: CharacterClass, from start: Int) -> Int {
        var end = start
        while end < limit {
            let (other, length) = look(at: end)
            guard other == kind else { break }
            end += length
        }
        return end
    }

    private func isLineBreak(_ place: Int) -> Bool {
        text[place] == UInt8(ascii: "\r") || text[place] == UInt8(ascii: "\n")
    }

    @inline(__always)
    private func look(at place: Int) -> (kind: CharacterClass, length: Int) {
        let (value, length) = text.scalar(at: place)
        return (CharacterClass(bits: CharacterClass.entry(value) & CharacterClass.classMask), length)
    }
}
