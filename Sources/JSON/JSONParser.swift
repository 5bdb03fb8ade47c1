// Strict RFC 8259 parser over bytes. The text is hostile: depth is bounded, and every error has its line and column.
import OrderedCollections

/// Why a text is not JSON. Lines and columns count from 1; a column counts bytes.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package let reason: String
    package let line: Int
    package let column: Int
    package var description: String { "line \(line), column \(column): \(reason)" }
}

extension JSONValue {
    /// Levels that no caller can exceed: parsing, comparing, writing and freeing a value recurse, and this many levels
    /// fit a thread with a stack of 512 KiB.
    package static let deepest = 512

    /// Parses one value that fills the whole text (white space around it is allowed).
    /// Of members with the same name the last one counts, in the place of the first. Names are the same when `String`
    /// says so, which is when they differ at most in Unicode normal form; `forEachMember` keeps such names apart.
    /// - Parameter maximumDepth: arrays and objects inside one another, at most; values above `deepest` mean that.
    package init(parsing text: some Collection<UInt8>, maximumDepth: Int = 128) throws(JSONError) {
        self = try Self.withParser(text, maximumDepth) { parser throws(JSONError) in try parser.document() }
    }

    package init(parsing text: String, maximumDepth: Int = 128) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), maximumDepth: maximumDepth)
    }

    /// Hands out the members of the object that the path of names leads to, in their order and without collecting them:
    /// for vocabularies, which hold hundreds of thousands of names and some that only their normal form tells apart.
    /// Of steps with the same name all are taken.
    /// - Returns: whether there is such an object.
    package static func forEachMember(
        ofObjectAt path: [String], in text: some Collection<UInt8>, maximumDepth: Int = 128,
        _ visit: (String, JSONValue) -> Void
    ) throws(JSONError) -> Bool {
        try withParser(text, maximumDepth) { parser throws(JSONError) in
            let isThere = try parser.members(at: path[...], visit)
            try parser.expectEnd()
            return isThere
        }
    }

    private static func withParser<Value>(
        _ text: some Collection<UInt8>, _ depth: Int, _ body: (inout JSONParser) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<Value, JSONError> {
            var parser = JSONParser(bytes: bytes, maximumDepth: min(depth, deepest))
            do throws(JSONError) { return .success(try body(&parser)) } catch { return .failure(error) }
        }
        return try (text.withContiguousStorageIfAvailable(parse) ?? Array(text).withUnsafeBufferPointer(parse)).get()
    }
}

private struct JSONParser {
    let bytes: UnsafeBufferPointer<UInt8>
    let maximumDepth: Int
    var position = 0
    var depth = 0

    init(bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value()
        try expectEnd()
        return value
    }

    mutating func expectEnd() throws(JSONError) {
        skipSpace()
        guard position == bytes.count else { throw error("unexpected text after the value") }
    }

    mutating func members(
        at path: ArraySlice<String>, _ visit: (String, JSONValue) -> Void
    ) throws(JSONError) -> Bool {
        skipSpace()
        guard peek == UInt8(ascii: "{") else {
            _ = try value()
            return false
        }
        var isThere = path.isEmpty
        try eachMember { parser, name throws(JSONError) in
            guard let step = path.first else { return visit(name, try parser.value()) }
            if name.utf8.elementsEqual(step.utf8) {
                isThere = try parser.members(at: path.dropFirst(), visit) || isThere
            } else {
                _ = try parser.value()
            }
        }
        return isThere
    }

    // MARK: Values

    private mutating func value() throws(JSONError) -> JSONValue {
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try number()
        case nil: throw error("the text ends where a value is expected")
        default: throw error("a value is expected here")
        }
    }

    private mutating func object() throws(JSONError) -> JSONValue {
        var members = OrderedDictionary<String, JSONValue>()
        try eachMember { parser, name throws(JSONError) in members[name] = try parser.value() }
        return .object(members)
    }

    /// - Parameter body: reads the value of the member with the name that it is given.
    private mutating func eachMember(
        _ body: (inout JSONParser, String) throws(JSONError) -> Void
    ) throws(JSONError) {
        try enter()
        defer { depth -= 1 }
        skipSpace()
        if take("}") { return }
        repeat {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw error("a member name in quotes is expected here") }
            let name = try string()
            skipSpace()
            guard take(":") else { throw error("':' is expected after the name \"\(name.prefix(64))\"") }
            try body(&self, name)
            skipSpace()
        } while take(",")
        guard take("}") else { throw error("',' or '}' is expected here") }
    }

    private mutating func array() throws(JSONError) -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var elements: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(elements) }
        repeat {
            elements.append(try value())
            skipSpace()
        } while take(",")
        guard take("]") else { throw error("',' or ']' is expected here") }
        return .array(elements)
    }

    private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for offset in 0..<word.utf8CodeUnitCount where at(position + offset) != word.utf8Start[offset] {
            throw error("a value is expected here")
        }
        position += word.utf8CodeUnitCount
        return value
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        _ = take("-")
        if !take("0") {
            guard skipDigits() else { throw error("a digit is expected here") }
        }
        if take(".") {
            isInteger = false
            guard skipDigits() else { throw error("a digit is expected after '.'") }
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            guard skipDigits() else { throw error("a digit is expected in the exponent") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            position = start
            throw error("the number is out of range")
        }
        return .number(value)
    }

    // MARK: Strings

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        // Most strings hold no escape and are copied in one piece.
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if peek == UInt8(ascii: "\"") {
            defer { position += 1 }
            return try text(UnsafeBufferPointer(rebasing: bytes[start..<position]), from: start)
        }
        var content = Array(bytes[start..<position])
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try text(content, from: start)
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &content)
            case 0..<0x20:
                throw error("a control character in a string must be escaped")
            default:
                content.append(byte)
                position += 1
            }
        }
        position = start - 1
        throw error("the string that starts here is not closed")
    }

    private func text(_ content: some Sequence<UInt8>, from start: Int) throws(JSONError) -> String {
        guard let text = String(validating: content, as: UTF8.self) else {
            throw error("the string is not valid UTF-8", at: start)
        }
        return text
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONError) {
        guard let byte = peek else { throw error("the text ends inside an escape") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hex4()
            if (0xD800..<0xDC00).contains(code) {
                guard take("\\"), take("u") else { throw error("a high surrogate without its low surrogate") }
                let low = try hex4()
                guard (0xDC00..<0xE000).contains(low) else {
                    throw error("a high surrogate without its low surrogate")
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw error("a low surrogate without its high surrogate") }
            content.append(contentsOf: UTF8.encode(scalar)!)
        default:
            position -= 1
            throw error("unknown escape")
        }
    }

    private mutating func hex4() throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits are expected after \\u")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    // MARK: Bytes

    private var peek: UInt8? { at(position) }

    private func at(_ index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipDigits() -> Bool {
        let start = position
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        return position > start
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func enter() throws(JSONError) {
        guard depth < maximumDepth else { throw error("more than \(maximumDepth) levels deep") }
        depth += 1
        position += 1
    }

    private func error(_ reason: String, at place: Int? = nil) -> JSONError {
        let before = bytes[..<min(place ?? position, bytes.count)]
        let line = before.count(where: { $0 == 0x0A }) + 1
        let column = before.count - (before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
        return JSONError(reason: reason, line: line, column: column)
    }
}
