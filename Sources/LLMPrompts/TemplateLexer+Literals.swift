// Source → tokens: numbers and strings as Python writes them.

extension TemplateLexer {
    mutating func number() throws(TemplateFault) -> TemplateToken.Kind? {
        guard let first = at(position), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return nil }
        let start = position
        let follows = start > 0 && bytes[start - 1] == UInt8(ascii: ".")
        if !follows, let end = floatEnd(start) {
            position = end
            guard let value = Double(digits(start..<end)) else {
                throw TemplateFault(.syntax, "this number cannot be read", start)
            }
            return .float(value)
        }
        var radix = 10
        var end = start + 1
        if first == UInt8(ascii: "0") {
            switch at(start + 1).map({ $0 | 0x20 }) {
            case UInt8(ascii: "x"): radix = 16
            case UInt8(ascii: "o"): radix = 8
            case UInt8(ascii: "b"): radix = 2
            default: break
            }
            if radix != 10, let after = digitsEnd(start + 2, radix: radix, allowsLeadingUnderscore: true) {
                position = after
                return .integer(try integer(start + 2..<after, radix, start))
            }
            radix = 1  // After a leading zero only zeros belong to the number.
        }
        if let after = digitsEnd(end, radix: radix, allowsLeadingUnderscore: true) { end = after }
        position = end
        return .integer(try integer(start..<end, 10, start))
    }

    private func integer(_ range: Range<Int>, _ radix: Int, _ place: Int) throws(TemplateFault) -> Int {
        guard let value = Int(digits(range), radix: radix) else {
            throw TemplateFault(.syntax, "this integer does not fit into 64 bits", place)
        }
        return value
    }

    private func digits(_ range: Range<Int>) -> String {
        String(decoding: bytes[range].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
    }

    /// The end of digits with single underscores between them. Radix 1 knows only the digit 0.
    private func digitsEnd(_ start: Int, radix: Int, allowsLeadingUnderscore: Bool) -> Int? {
        var end = start
        while true {
            var digit = end
            if at(digit) == UInt8(ascii: "_"), end > start || allowsLeadingUnderscore { digit += 1 }
            guard let byte = at(digit), byte < 0x80, let value = Character(Unicode.Scalar(byte)).hexDigitValue,
                value < radix
            else { return end > start ? end : nil }
            end = digit + 1
        }
    }

    private func floatEnd(_ start: Int) -> Int? {
        guard var end = digitsEnd(start, radix: 10, allowsLeadingUnderscore: false) else { return nil }
        var isFloat = false
        if at(end) == UInt8(ascii: "."), let after = digitsEnd(end + 1, radix: 10, allowsLeadingUnderscore: false) {
            end = after
            isFloat = true
        }
        if let byte = at(end), byte | 0x20 == UInt8(ascii: "e") {
            let sign = at(end + 1) == UInt8(ascii: "+") || at(end + 1) == UInt8(ascii: "-") ? 1 : 0
            if let after = digitsEnd(end + 1 + sign, radix: 10, allowsLeadingUnderscore: false) { return after }
        }
        return isFloat ? end : nil
    }

    mutating func string() throws(TemplateFault) -> String {
        let start = position
        let quote = bytes[start]
        position += 1
        var content: [UInt8] = []
        while let byte = at(position) {
            position += 1
            if byte == quote { return String(decoding: content, as: UTF8.self) }
            if byte == UInt8(ascii: "\\") { try escape(into: &content) } else { content.append(byte) }
        }
        throw TemplateFault(.syntax, "this string is not closed", start)
    }

    /// Escapes of Python string literals, after the backslash.
    private mutating func escape(into content: inout [UInt8]) throws(TemplateFault) {
        guard let byte = at(position) else { return }
        let start = position - 1
        position += 1
        switch byte {
        case 0x0A: return
        case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): content.append(byte)
        case UInt8(ascii: "a"): content.append(0x07)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "v"): content.append(0x0B)
        case UInt8(ascii: "x"): try scalarEscape(2, start, into: &content)
        case UInt8(ascii: "u"): try scalarEscape(4, start, into: &content)
        case UInt8(ascii: "U"): try scalarEscape(8, start, into: &content)
        case UInt8(ascii: "N"): throw TemplateFault(.syntax, "escapes with character names are not supported", start)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            var value = UInt32(byte - UInt8(ascii: "0"))
            for _ in 0..<2 {
                guard let next = at(position), (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(next) else { break }
                value = value << 3 | UInt32(next - UInt8(ascii: "0"))
                position += 1
            }
            content.append(contentsOf: String(Unicode.Scalar(value)!).utf8)
        case 0x80...:
            // Jinja2 writes what is not ASCII as an escape first, so that the backslash before it escapes that backslash.
            position -= 1
            let (scalar, length) = scalar(position) ?? ("\u{FFFD}", 1)
            position += length
            let hex = String(scalar.value, radix: 16)
            let (mark, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
            content.append(contentsOf: "\\\(mark)\(String(repeating: "0", count: width - hex.count))\(hex)".utf8)
        default:
            content.append(UInt8(ascii: "\\"))
            content.append(byte)
        }
    }

    private mutating func scalarEscape(
        _ length: Int, _ start: Int, into content: inout [UInt8]
    ) throws(TemplateFault) {
        var value: UInt32 = 0
        for _ in 0..<length {
            guard let byte = at(position), byte < 0x80, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw TemplateFault(.syntax, "this escape needs \(length) hexadecimal digits", start)
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = Unicode.Scalar(value) else {
            throw TemplateFault(.syntax, "this escape names no character", start)
        }
        content.append(contentsOf: String(scalar).utf8)
    }
}
