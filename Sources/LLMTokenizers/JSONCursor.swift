// Walks over JSON without making values of it. A vocabulary can't go through `JSONValue`: Swift takes strings for equal
// that are canonically equivalent, so that of the pieces "Å" (U+00C5) and "Å" (U+212B) one would be lost as an object's
// key. It is also a hundred megabytes of small objects less.
import JSON

struct JSONCursor {
    private let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int
    /// What the text is, for errors.
    private let field: String

    init(_ bytes: [UInt8], _ range: Range<Int>? = nil, field: String) {
        self.bytes = bytes
        self.field = field
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// The members of the object that stands here, as stretches of the text; of those with one name the last.
    mutating func members() throws(TokenizerError) -> [String: Range<Int>] {
        var members: [String: Range<Int>] = [:]
        var name: [UInt8] = []
        try open("{")
        while try more("}") {
            name.removeAll(keepingCapacity: true)
            try string(into: &name)
            try expect(":")
            members[String(decoding: name, as: UTF8.self)] = try skip()
        }
        return members
    }

    /// True before each member or element, false at the end, which it passes. The first call follows `open`.
    mutating func more(_ close: Unicode.Scalar) throws(TokenizerError) -> Bool {
        skipSpace()
        if take(close) { return false }
        if isAfterOpen { isAfterOpen = false } else { try expect(",") }
        return true
    }

    private var isAfterOpen = false

    mutating func open(_ bracket: Unicode.Scalar) throws(TokenizerError) {
        try expect(bracket)
        isAfterOpen = true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(TokenizerError) {
        skipSpace()
        guard take(character) else { throw error("'\(character)' is expected") }
    }

    /// True when the next value is a string.
    mutating func isAtString() -> Bool {
        skipSpace()
        return peek == UInt8(ascii: "\"")
    }

    /// Nothing but white space may follow.
    mutating func finish() throws(TokenizerError) {
        skipSpace()
        guard position == end else { throw error("unexpected text after the value") }
    }

    mutating func integer() throws(TokenizerError) -> Int {
        skipSpace()
        var value = 0
        let start = position
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), position - start < 18 {
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
            position += 1
        }
        guard position > start else { throw error("a number from 0 on is expected") }
        return value
    }

    /// Appends the string's UTF-8.
    mutating func string(into text: inout [UInt8]) throws(TokenizerError) {
        guard isAtString() else { throw error("a string is expected") }
        let start = position
        position += 1
        let content = position
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20, byte < 0x80 {
            position += 1
        }
        if peek == UInt8(ascii: "\"") {
            text.append(contentsOf: bytes[content..<position])
            position += 1
            return
        }
        // Escapes and UTF-8 beyond ASCII are the parser's business.
        position = start
        let range = try skip()
        do throws(JSONError) {
            guard case .string(let value) = try JSONValue(parsing: bytes[range]) else { return }
            text.append(contentsOf: value.utf8)
        } catch {
            throw self.error(error.reason, at: start)
        }
    }

    /// Passes the value that stands here; brackets and quotes are matched, nothing else is looked at.
    mutating func skip() throws(TokenizerError) -> Range<Int> {
        skipSpace()
        let start = position
        var depth = 0
        repeat {
            guard let byte = peek else { throw error("the text ends inside of a value", at: start) }
            position += 1
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "\""): try skipString()
            default: break
            }
        } while depth > 0 || depth == 0 && !isAtEndOfValue
        guard depth == 0 else { throw error("a value is expected", at: start) }
        return start..<position
    }

    private var isAtEndOfValue: Bool {
        guard let byte = peek else { return true }
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x0A, 0x0D, 0x09:
            return true
        default: return false
        }
    }

    private mutating func skipString() throws(TokenizerError) {
        let start = position - 1
        while let byte = peek {
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { return }
        }
        throw error("the string that begins here is not closed", at: start)
    }

    private var peek: UInt8? { position < end ? bytes[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private func error(_ reason: String, at place: Int? = nil) -> TokenizerError {
        .invalid(field: field, reason: "byte \(place ?? position): \(reason)")
    }
}
