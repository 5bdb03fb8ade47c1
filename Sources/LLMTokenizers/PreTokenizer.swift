// Cuts text into words before merging, in the ways of the supported families.

/// The pattern of a byte-level vocabulary.
enum WordPattern: Sendable, Hashable {
    /// No cut at all.
    case whole
    /// `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    case gpt2
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
    /// with one digit (Qwen 2 and 3) or three (Llama 3).
    case gpt4(digits: Int)
}

enum PreTokenizer: Sendable, Hashable {
    /// `isolatesDigits`: every digit is a word first, and the pattern sees what is between (SmolLM2).
    case bytes(WordPattern, isolatesDigits: Bool)
    /// Pieces of characters.
    case characters(CharacterCut)

    enum CharacterCut: Sendable, Hashable {
        case whole
        /// A word ends with a space.
        case afterSpaces
        /// A word begins with U+2581.
        case beforeMarks
    }
}

/// Hands out the words of a text one after the other.
struct WordCutter {
    private let text: UTF8Bytes
    private let preTokenizer: PreTokenizer
    private var place = 0
    /// Where the part without digits ends, which the pattern sees as a text of its own.
    private var limit = 0

    init(_ text: UTF8Bytes, _ preTokenizer: PreTokenizer) {
        self.text = text
        self.preTokenizer = preTokenizer
    }

    mutating func next() -> Range<Int>? {
        guard place < text.count else { return nil }
        let start = place
        switch preTokenizer {
        case .bytes(let pattern, let isolatesDigits):
            if start >= limit { limit = isolatesDigits ? endOfPart(start) : text.count }
            place = start == limit ? start + text.scalar(at: start).length : end(of: pattern, start)
        case .characters(.whole): place = text.count
        case .characters(.afterSpaces):
            let rest = text[start...]
            place = rest.firstIndex(of: UInt8(ascii: " ")).map { $0 + 1 } ?? text.count
        case .characters(.beforeMarks):
            place = start + 1
            while place < text.count, !text.starts(with: TextStep.mark, at: place) { place += 1 }
        }
        return start..<place
    }

    private func end(of pattern: WordPattern, _ start: Int) -> Int {
        let scanner = WordScanner(text: text, limit: limit)
        return switch pattern {
        case .whole: limit
        case .gpt2: scanner.gpt2(start)
        case .gpt4(let digits): scanner.gpt4(digits, start)
        }
    }

    private func endOfPart(_ start: Int) -> Int {
        var end = start
        while end < text.count {
            let (value, length) = text.scalar(at: end)
            if CharacterClass.isDigit(value) { break }
            end += length
        }
        return end
    }
}
