// Python's `%` formatting and `str.format`.
import Glibc

/// How one value is laid out.
struct TemplateFormat {
    enum Alignment { case left, right, center, afterSign }
    var fill: Unicode.Scalar = " "
    var alignment: Alignment?
    var isLeft = false
    /// "+", " " or nothing.
    var sign = ""
    var isAlternate = false
    var groups = ""
    var width = 0
    var precision: Int?
    var type: Unicode.Scalar = "s"
    var escapes = false

    static let maximumPrecision = 400

    /// As C's `%.nf`.
    static func fixed(_ number: Double, precision: Int) -> String { print(number, "f", precision) }

    /// As C prints a number with `%#.nX`, where X is e, f or g.
    static func print(_ number: Double, _ conversion: String, _ precision: Int, isAlternate: Bool = false) -> String {
        // 309 digits before the point and the precision after it fit.
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
            let format = "%" + (isAlternate ? "#" : "") + ".\(precision)" + conversion
            let count = withVaList([number]) { vsnprintf(buffer.baseAddress!, buffer.count, format, $0) }
            return String(decoding: buffer.prefix(Int(max(0, count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    // MARK: One value

    func apply(_ value: TemplateValue, _ interpreter: Interpreter) throws(TemplateFault) -> String {
        guard width <= interpreter.limits.outputBytes, precision ?? 0 <= interpreter.limits.outputBytes else {
            throw TemplateFault(.limit, "a format that is too wide", interpreter.place)
        }
        switch type {
        case "s", "r", "a":
            var text = type == "s" ? try interpreter.text(value) : try interpreter.representation(value)
            if escapes { text = try interpreter.escaped(text, unlessMarked: value) }
            if let precision {
                let count = TemplateText.count(text)
                text = TemplateText.scalars(text, SliceIndices(start: 0, stop: precision, step: 1, length: count))
            }
            return try pad(text, standard: .left, interpreter)
        case "c":
            var text = value.text
            if let code = value.index {
                text = UInt32(exactly: code).flatMap(Unicode.Scalar.init).map { String($0) }
            }
            guard let text, TemplateText.count(text) == 1 else { throw interpreter.fail("%c needs one character") }
            return try pad(text, standard: .right, interpreter)
        case "d", "i", "u", "x", "X", "o", "b": return try integer(value, interpreter)
        case "e", "E", "f", "F", "g", "G", "%": return try float(value, interpreter)
        default: throw interpreter.fail("there is no format '\(type)'")
        }
    }

    private func integer(_ value: TemplateValue, _ interpreter: Interpreter) throws(TemplateFault) -> String {
        var number = value.index
        if number == nil, case .float(let float) = value, "diu".unicodeScalars.contains(type) {
            number = Int(exactly: float.rounded(.towardZero))
        }
        guard let number else { throw interpreter.fail("format '\(type)' needs an integer, not \(value.typeName)") }
        let radix = type == "x" || type == "X" ? 16 : type == "o" ? 8 : type == "b" ? 2 : 10
        var digits = String(number.magnitude, radix: radix, uppercase: type == "X")
        if let precision { digits = String(repeating: "0", count: max(0, precision - digits.utf8.count)) + digits }
        if !groups.isEmpty { digits = Self.grouped(digits, by: groups, size: radix == 10 ? 3 : 4) }
        let mark = isAlternate && radix != 10 ? "0\(type)" : ""
        return try pad(digits, sign: (number < 0 ? "-" : sign) + mark, standard: .right, interpreter)
    }

    private func float(_ value: TemplateValue, _ interpreter: Interpreter) throws(TemplateFault) -> String {
        guard var number = value.number else {
            throw interpreter.fail("format '\(type)' needs a number, not \(value.typeName)")
        }
        if type == "%" { number *= 100 }
        let precision = precision ?? 6
        guard precision <= Self.maximumPrecision else { throw interpreter.fail("the precision is too large") }
        let prefix = number.sign == .minus && !number.isNaN ? "-" : sign
        var digits = Self.print(
            number.magnitude, type == "%" ? "f" : String(type), precision, isAlternate: isAlternate)
        if !groups.isEmpty {
            let whole = digits.prefix { $0.isNumber }
            digits = Self.grouped(String(whole), by: groups, size: 3) + digits.dropFirst(whole.count)
        }
        return try pad(digits + (type == "%" ? "%" : ""), sign: prefix, standard: .right, interpreter)
    }

    private static func grouped(_ digits: String, by separator: String, size: Int) -> String {
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % size == 0 { result += separator }
            result.append(digit)
        }
        return result
    }

    private func pad(
        _ text: String, sign: String = "", standard: Alignment, _ interpreter: Interpreter
    ) throws(TemplateFault) -> String {
        let gap = max(0, width - TemplateText.count(text) - sign.utf8.count)
        try interpreter.reserve(bytes: gap * String(fill).utf8.count + text.utf8.count)
        func filling(_ count: Int) -> String { String(repeating: String(fill), count: count) }
        return switch alignment ?? standard {
        case .left: sign + text + filling(gap)
        case .right: filling(gap) + sign + text
        case .center: filling(gap / 2) + sign + text + filling(gap - gap / 2)
        case .afterSign: sign + filling(gap) + text
        }
    }
}

/// Reads a format text code point by code point.
private struct FormatReader {
    var rest: Substring.UnicodeScalarView

    init(_ text: String) { rest = text.unicodeScalars[...] }

    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    /// A run of digits; a number beyond 32 bits reads as the largest one.
    mutating func number() -> Int? {
        var value: Int?
        while let digit = rest.first, ("0"..."9").contains(digit) {
            value = min((value ?? 0) * 10 + Int(digit.value - 48), Int(Int32.max))
            rest.removeFirst()
        }
        return value
    }

    /// The text up to a scalar that goes as well; nil if there is none.
    mutating func text(until end: Unicode.Scalar) -> String? {
        guard let place = rest.firstIndex(of: end) else { return nil }
        defer { rest = rest[rest.index(after: place)...] }
        return String(rest[..<place])
    }
}

// MARK: %

extension String {
    /// `self % arguments`.
    /// - Parameter escapes: escape what is put in, as marked strings do.
    func percent(
        _ arguments: TemplateValue, escapes: Bool, _ interpreter: Interpreter
    ) throws(TemplateFault) -> String {
        try interpreter.charge(utf8.count)
        var reader = FormatReader(self)
        var values = [arguments][...]
        if case .tuple(let list) = arguments { values = list.elements[...] }
        var named = false
        func next() throws(TemplateFault) -> TemplateValue {
            guard let value = values.popFirst() else { throw interpreter.fail("not enough arguments for the format") }
            return value
        }
        var result = ""
        while let scalar = reader.rest.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            if reader.take("%") {
                result += "%"
                continue
            }
            var value: TemplateValue?
            if reader.take("(") {
                guard let name = reader.text(until: ")"), case .dictionary(let dictionary) = arguments,
                    let found = dictionary.entries[TemplateKey(name)]
                else { throw interpreter.fail("the format names a value that is not there") }
                value = found
                named = true
            }
            var format = TemplateFormat()
            format.escapes = escapes
            try reader.percentFlags(&format)
            if reader.take("*") {
                let width = try interpreter.integer(try next(), default: 0, of: "a format")
                format.width = Int(min(width.magnitude, UInt(Int32.max)))
                if width < 0 { format.alignment = .left }
            } else {
                format.width = reader.number() ?? 0
            }
            if reader.take(".") { format.precision = reader.number() ?? 0 }
            guard let type = reader.rest.popFirst(), type != "b" else {
                throw interpreter.fail("the format is not complete")
            }
            format.type = type
            if "srac".unicodeScalars.contains(type), format.alignment != .left { format.alignment = .right }
            if format.alignment == .afterSign { format.fill = "0" }
            if value == nil { value = try next() }
            let part = try format.apply(value ?? .none, interpreter)
            try interpreter.reserve(bytes: result.utf8.count + part.utf8.count)
            result += part
        }
        var mayBeUnused = named
        if case .dictionary = arguments { mayBeUnused = true }
        guard values.isEmpty || mayBeUnused else { throw interpreter.fail("the format does not use all arguments") }
        return result
    }

    // MARK: format

    /// `self.format(…)`. Formats inside formats are not supported.
    func formatted(
        _ arguments: TemplateArguments, escapes: Bool, _ interpreter: Interpreter
    ) throws(TemplateFault) -> String {
        var reader = FormatReader(self)
        var nextIndex = 0
        var result = ""
        while let scalar = reader.rest.popFirst() {
            if scalar != "{" && scalar != "}" || reader.take(scalar) {
                result.unicodeScalars.append(scalar)
                continue
            }
            guard scalar == "{", let field = reader.text(until: "}"), !field.unicodeScalars.contains("{") else {
                throw interpreter.fail("format() has a brace without its partner")
            }
            var parts = TemplateText.split(field, ":", limit: 1)
            var conversion: Unicode.Scalar?
            if let mark = parts[0].unicodeScalars.lastIndex(of: "!") {
                let tail = parts[0].unicodeScalars[mark...].dropFirst()
                guard tail.count == 1, let letter = tail.first, "sr".unicodeScalars.contains(letter) else {
                    throw interpreter.fail("format() knows the conversions !s and !r")
                }
                conversion = letter
                parts[0] = String(parts[0].unicodeScalars[..<mark])
            }
            var value = try interpreter.formatField(parts[0], arguments, &nextIndex)
            if conversion == "r" { value = .string(try interpreter.representation(value)) }
            if conversion == "s" { value = .string(try interpreter.text(value)) }
            var part = try interpreter.format(value, parts.count > 1 ? parts[1] : "")
            if escapes { part = try interpreter.escaped(part, unlessMarked: value) }
            try interpreter.reserve(bytes: result.utf8.count + part.utf8.count)
            result += part
        }
        return result
    }
}

extension FormatReader {
    fileprivate mutating func percentFlags(_ format: inout TemplateFormat) throws(TemplateFault) {
        while let flag = rest.first {
            switch flag {
            case "-": format.alignment = .left
            case "+": format.sign = "+"
            case " ": if format.sign.isEmpty { format.sign = " " }
            case "#": format.isAlternate = true
            case "0": if format.alignment == nil { format.alignment = .afterSign }
            default: return
            }
            rest.removeFirst()
        }
    }
}

extension Interpreter {
    /// The value that the first part of a replacement field names: `0`, `name`, `name.attribute`, `name[key]`.
    fileprivate func formatField(
        _ field: String, _ arguments: TemplateArguments, _ nextIndex: inout Int
    ) throws(TemplateFault) -> TemplateValue {
        var reader = FormatReader(field)
        let name = String(reader.rest.prefix { $0 != "." && $0 != "[" })
        reader.rest = reader.rest.dropFirst(name.unicodeScalars.count)
        var value: TemplateValue
        if name.isEmpty || Int(name) != nil {
            let index = Int(name) ?? nextIndex
            nextIndex += 1
            guard arguments.positional.indices.contains(index) else { throw fail("format() has too few arguments") }
            value = arguments.positional[index]
        } else {
            guard let keyword = arguments.keywords.first(where: { $0.name == name }) else {
                throw fail("format() has no argument '\(name.prefix(40))'")
            }
            value = keyword.value
        }
        while let opening = reader.rest.popFirst() {
            if opening == "." {
                let name = String(reader.rest.prefix { $0 != "." && $0 != "[" })
                reader.rest = reader.rest.dropFirst(name.unicodeScalars.count)
                value = try attribute(name, of: value)
            } else {
                guard opening == "[", let key = reader.text(until: "]") else {
                    throw fail("format() has a broken field")
                }
                value = try item(Int(key).map { .integer($0) } ?? .string(key), of: value)
            }
        }
        return value
    }

    /// Python's `format(value, specification)`.
    fileprivate func format(_ value: TemplateValue, _ specification: String) throws(TemplateFault) -> String {
        guard !specification.isEmpty else { return try text(value) }
        var reader = FormatReader(specification)
        var format = TemplateFormat()
        let alignments: [Unicode.Scalar: TemplateFormat.Alignment] = [
            "<": .left, ">": .right, "^": .center, "=": .afterSign,
        ]
        if let second = reader.rest.dropFirst().first, let alignment = alignments[second] {
            format.fill = reader.rest.removeFirst()
            format.alignment = alignment
            reader.rest.removeFirst()
        } else if let first = reader.rest.first, let alignment = alignments[first] {
            format.alignment = alignment
            reader.rest.removeFirst()
        }
        for sign in ["+", "-", " "] as [Unicode.Scalar] where reader.take(sign) {
            format.sign = sign == "-" ? "" : String(sign)
        }
        format.isAlternate = reader.take("#")
        if reader.take("0"), format.alignment == nil {
            format.fill = "0"
            format.alignment = value.number == nil ? .left : .afterSign
        }
        format.width = reader.number() ?? 0
        for separator in [",", "_"] as [Unicode.Scalar] where reader.take(separator) {
            format.groups = String(separator)
        }
        if reader.take(".") {
            guard let precision = reader.number() else { throw fail("the format lacks its precision") }
            format.precision = precision
        }
        let type = reader.rest.popFirst()
        guard reader.rest.isEmpty else { throw fail("the format cannot be read") }
        switch value {
        case .integer, .boolean:
            if type == nil, case .boolean(let truth) = value, format.width == 0 { return truth ? "True" : "False" }
            format.type = type ?? "d"
            guard "diouxXbeEfFgG%c".unicodeScalars.contains(format.type), format.type != "i", format.type != "u",
                format.precision == nil || "eEfFgG%".unicodeScalars.contains(format.type)
            else { throw fail("an int has no such format") }
        case .float(let number):
            guard type != nil || format.precision != nil else {
                format.type = "s"
                if format.alignment == nil { format.alignment = .right }
                return try format.apply(.string(Self.text(number)), self)
            }
            format.type = type ?? "g"
            guard "eEfFgG%".unicodeScalars.contains(format.type) else { throw fail("a float has no such format") }
        default:
            guard type ?? "s" == "s", value.text != nil, format.sign.isEmpty, format.groups.isEmpty,
                format.alignment != .afterSign
            else { throw fail("a \(value.typeName) has no such format") }
        }
        return try format.apply(value, self)
    }
}
