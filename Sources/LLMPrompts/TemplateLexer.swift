// Source → tokens, with the white-space rules that transformers renders with: trim_blocks and lstrip_blocks on, one
// newline at the very end dropped, all line ends read as "\n". Follows jinja2/lexer.py 3.1.

struct TemplateLexer {
    let bytes: [UInt8]
    var position = 0
    private var tokens: [TemplateToken] = []
    /// Whether the last match ended a line: lstrip_blocks also strips from the start of such a rest.
    private var isLineStart = true

    init(_ source: String) { bytes = Self.normalised(source) }

    /// The source with "\n" as the only line end and without a newline at the very end. Places refer to it.
    static func normalised(_ source: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.utf8.count)
        var afterReturn = false
        for byte in source.utf8 {
            if byte == 0x0D {
                bytes.append(0x0A)
            } else if byte != 0x0A || !afterReturn {
                bytes.append(byte)
            }
            afterReturn = byte == 0x0D
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        return bytes
    }

    static func tokens(of source: String) throws(TemplateFault) -> [TemplateToken] {
        var lexer = TemplateLexer(source)
        return try lexer.run()
    }

    private mutating func run() throws(TemplateFault) -> [TemplateToken] {
        while position < bytes.count { try text() }
        add(.end, bytes.count)
        return tokens
    }

    // MARK: Text between tags

    private enum Tag { case variable, block, comment, raw(end: Int, trimsAfter: Bool) }

    private mutating func text() throws(TemplateFault) {
        let start = position
        guard let (place, tag) = nextTag() else {
            addData(start..<bytes.count)
            position = bytes.count
            return
        }
        let sign = at(place + 2)
        var isVariable = false
        if case .variable = tag { isVariable = true }
        addData(start..<dataEnd(start, place, sign: sign, strips: !isVariable))
        position = place + (sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") ? 3 : 2)
        isLineStart = false
        switch tag {
        case .comment: try comment(place)
        case .variable:
            add(.variableBegin, place)
            try expression(isBlock: false, place)
        case .block:
            add(.blockBegin, place)
            try expression(isBlock: true, place)
        case .raw(let end, let trims):
            position = trims ? skipSpace(end) : end
            isLineStart = position > end && bytes[position - 1] == 0x0A
            try raw(place)
        }
    }

    private func nextTag() -> (Int, Tag)? {
        var place = position
        while place + 1 < bytes.count {
            if bytes[place] == UInt8(ascii: "{") {
                switch bytes[place + 1] {
                case UInt8(ascii: "{"): return (place, .variable)
                case UInt8(ascii: "#"): return (place, .comment)
                case UInt8(ascii: "%"):
                    if let end = rawTag(place, "raw"), let close = tagEnd(end, allowsPlus: false) {
                        return (place, .raw(end: close.end, trimsAfter: close.sign == UInt8(ascii: "-")))
                    }
                    return (place, .block)
                default: break
                }
            }
            place += 1
        }
        return nil
    }

    /// Where the text before a tag ends once white space is stripped.
    private func dataEnd(_ start: Int, _ place: Int, sign: UInt8?, strips: Bool) -> Int {
        if sign == UInt8(ascii: "-") {
            var end = place
            while end > start, let length = spaceBefore(end, notBefore: start) { end -= length }
            return end
        }
        guard strips, sign != UInt8(ascii: "+") else { return place }
        let lineStart = bytes[start..<place].lastIndex(of: 0x0A).map { $0 + 1 }
        guard lineStart != nil || isLineStart else { return place }
        let from = lineStart ?? start
        return from < place && skipSpace(from) >= place ? from : place
    }

    private mutating func comment(_ opening: Int) throws(TemplateFault) {
        while position < bytes.count {
            if matches("#}", position) {
                position = afterBlock(position + 2)
                return
            }
            if at(position) == UInt8(ascii: "-") || at(position) == UInt8(ascii: "+"), matches("#}", position + 1) {
                let end = position + 3
                position = bytes[position] == UInt8(ascii: "-") ? skipSpace(end) : end
                isLineStart = position > end && bytes[position - 1] == 0x0A
                return
            }
            position += 1
        }
        throw TemplateFault(.syntax, "this comment is not closed with '#}'", opening)
    }

    private mutating func raw(_ opening: Int) throws(TemplateFault) {
        let start = position
        var place = start
        while place < bytes.count {
            if matches("{%", place), let end = rawTag(place, "endraw"), let close = tagEnd(end, allowsPlus: true) {
                addData(start..<dataEnd(start, place, sign: at(place + 2), strips: true))
                switch close.sign {
                case UInt8(ascii: "-"):
                    position = skipSpace(close.end)
                    isLineStart = position > close.end && bytes[position - 1] == 0x0A
                case UInt8(ascii: "+"):
                    position = close.end
                    isLineStart = false
                default: position = afterBlock(close.end)
                }
                return
            }
            place += 1
        }
        throw TemplateFault(.syntax, "this raw block is not closed with '{% endraw %}'", opening)
    }

    /// The end of `{% raw` or `{% endraw` with its sign and white space, if it stands at `place`.
    private func rawTag(_ place: Int, _ word: StaticString) -> Int? {
        var end = place + 2
        if at(end) == UInt8(ascii: "-") || at(end) == UInt8(ascii: "+") { end += 1 }
        end = skipSpace(end)
        guard matches(word, end) else { return nil }
        return skipSpace(end + word.utf8CodeUnitCount)
    }

    private func tagEnd(_ place: Int, allowsPlus: Bool) -> (end: Int, sign: UInt8?)? {
        if matches("%}", place) { return (place + 2, nil) }
        let sign = at(place)
        guard sign == UInt8(ascii: "-") || allowsPlus && sign == UInt8(ascii: "+"), matches("%}", place + 1) else {
            return nil
        }
        return (place + 3, sign)
    }

    /// trim_blocks: the newline right after a block or comment goes.
    private mutating func afterBlock(_ end: Int) -> Int {
        isLineStart = at(end) == 0x0A
        return isLineStart ? end + 1 : end
    }

    // MARK: Inside tags

    private mutating func expression(isBlock: Bool, _ opening: Int) throws(TemplateFault) {
        var open: [TemplateToken.Symbol] = []
        while position < bytes.count {
            let start = position
            if open.isEmpty, close(isBlock: isBlock) { return }
            let spaceEnd = skipSpace(position)
            if spaceEnd > position {
                position = spaceEnd
            } else if let kind = try number() {
                add(kind, start)
            } else if let name = name() {
                add(.name(name), start)
            } else if bytes[start] == UInt8(ascii: "'") || bytes[start] == UInt8(ascii: "\"") {
                add(.string(try string()), start)
            } else if let symbol = symbol() {
                try balance(symbol, &open, start)
                add(.symbol(symbol), start)
            } else {
                throw TemplateFault(.syntax, "unexpected character", start)
            }
        }
        throw TemplateFault(.syntax, "this tag is not closed with '\(isBlock ? "%}" : "}}")'", opening)
    }

    private mutating func close(isBlock: Bool) -> Bool {
        let sign = at(position)
        let hasSign = sign == UInt8(ascii: "-") || isBlock && sign == UInt8(ascii: "+")
        guard matches(isBlock ? "%}" : "}}", hasSign ? position + 1 : position) else { return false }
        add(isBlock ? .blockEnd : .variableEnd, position)
        let end = position + (hasSign ? 3 : 2)
        if sign == UInt8(ascii: "-") {
            position = skipSpace(end)
            isLineStart = position > end && bytes[position - 1] == 0x0A
        } else if isBlock && !hasSign {
            position = afterBlock(end)
        } else {
            position = end
            isLineStart = false
        }
        return true
    }

    private func balance(
        _ symbol: TemplateToken.Symbol, _ open: inout [TemplateToken.Symbol], _ place: Int
    ) throws(TemplateFault) {
        let expected: TemplateToken.Symbol
        switch symbol {
        case .openBrace, .openBracket, .openParenthesis:
            open.append(symbol)
            return
        case .closeBrace: expected = .openBrace
        case .closeBracket: expected = .openBracket
        case .closeParenthesis: expected = .openParenthesis
        default: return
        }
        guard open.popLast() == expected else { throw TemplateFault(.syntax, "unexpected '\(symbol.rawValue)'", place) }
    }

    private mutating func symbol() -> TemplateToken.Symbol? {
        // Two-byte symbols come first in the list.
        for symbol in TemplateToken.Symbol.allCases where bytes[position...].starts(with: symbol.rawValue.utf8) {
            position += symbol.rawValue.utf8.count
            return symbol
        }
        return nil
    }

    private mutating func name() -> String? {
        guard let end = wordEnd(position), !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) else {
            return nil
        }
        defer { position = end }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    /// The end of a run of letters, digits and underscores.
    private func wordEnd(_ start: Int) -> Int? {
        var end = start
        while end < bytes.count {
            switch bytes[end] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                end += 1
            case 0x80...:
                guard skipSpace(end) == end, let (scalar, length) = scalar(end), scalar.properties.isXIDContinue
                else { return end > start ? end : nil }
                end += length
            default: return end > start ? end : nil
            }
        }
        return end > start ? end : nil
    }

    // MARK: Bytes

    private mutating func add(_ kind: TemplateToken.Kind, _ place: Int) {
        tokens.append(TemplateToken(kind: kind, place: place))
    }

    private mutating func addData(_ range: Range<Int>) {
        if !range.isEmpty { add(.data(String(decoding: bytes[range], as: UTF8.self)), range.lowerBound) }
    }

    func at(_ index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private func matches(_ word: StaticString, _ place: Int) -> Bool {
        for offset in 0..<word.utf8CodeUnitCount where at(place + offset) != word.utf8Start[offset] { return false }
        return true
    }

    func scalar(_ place: Int) -> (Unicode.Scalar, length: Int)? {
        let length = bytes[place] < 0x80 ? 1 : bytes[place] < 0xE0 ? 2 : bytes[place] < 0xF0 ? 3 : 4
        let text = String(decoding: bytes[place..<min(place + length, bytes.count)], as: UTF8.self)
        return text.unicodeScalars.first.map { ($0, length) }
    }

    private func skipSpace(_ start: Int) -> Int {
        var place = start
        while place < bytes.count {
            if bytes[place] < 0x80 {
                guard TemplateText.isSpace(Unicode.Scalar(bytes[place])) else { break }
                place += 1
            } else {
                guard let (scalar, length) = scalar(place), TemplateText.isSpace(scalar) else { break }
                place += length
            }
        }
        return place
    }

    /// The length of the white-space code point that ends before `end`.
    private func spaceBefore(_ end: Int, notBefore start: Int) -> Int? {
        var place = end - 1
        while place > start, bytes[place] & 0xC0 == 0x80 { place -= 1 }
        guard let (scalar, length) = scalar(place), place + length == end, TemplateText.isSpace(scalar) else {
            return nil
        }
        return length
    }
}
