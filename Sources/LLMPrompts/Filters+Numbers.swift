// Filters on numbers, and reading numbers from text as Python does.
import Glibc

extension Interpreter {
    func filterNumber(
        _ filter: Filter, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        switch filter {
        case .int: return try int(value, arguments)
        case .float:
            let bound = try bind(arguments, of: "float", to: ["default"])
            return try float(value).map { .float($0) } ?? bound[0] ?? .float(0)
        case .round: return try round(value, arguments)
        default:
            _ = try bind(arguments, of: "abs", to: [])
            if let number = value.index {
                guard number != .min else { throw fail("an integer does not fit into 64 bits") }
                return .integer(Swift.abs(number))
            }
            return .float(Swift.abs(try number(value, of: "abs")))
        }
    }

    private func number(_ value: TemplateValue, of function: String) throws(TemplateFault) -> Double {
        if case .undefined(let reason) = value { throw fail(reason) }
        guard let number = value.number else { throw fail("\(function) needs a number, not \(value.typeName)") }
        return number
    }

    private func int(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: "int", to: ["default", "base"])
        let base = try integer(bound[1], default: 10, of: "int")
        if let number = value.index { return .integer(number) }
        if let text = value.text, let number = try Self.integer(text, base: base).get(self) { return .integer(number) }
        guard let number = try float(value) else { return bound[0] ?? .integer(0) }
        guard number.isFinite else {
            // Python turns the text "inf" into the default, but fails on the number itself.
            if value.text != nil || number.isNaN { return bound[0] ?? .integer(0) }
            throw fail("an infinite number is no integer")
        }
        guard let integer = Int(exactly: number.rounded(.towardZero)) else {
            throw fail("an integer does not fit into 64 bits")
        }
        return .integer(integer)
    }

    /// Python's `float(value)`; nil where that fails.
    private func float(_ value: TemplateValue) throws(TemplateFault) -> Double? {
        if case .undefined(let reason) = value { throw fail(reason) }
        if let number = value.number { return number }
        guard let text = value.text else { return nil }
        try charge(text.utf8.count)
        return Self.float(text)
    }

    private enum ReadInteger {
        case none, tooLarge
        case value(Int)

        func get(_ interpreter: Interpreter) throws(TemplateFault) -> Int? {
            switch self {
            case .none: return nil
            case .value(let value): return value
            case .tooLarge: throw interpreter.fail("an integer does not fit into 64 bits")
            }
        }
    }

    private static func integer(_ text: String, base: Int) -> ReadInteger {
        var bytes = Array(TemplateText.strip(text).utf8)[...]
        guard base == 0 || (2...36).contains(base) else { return .none }
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative || bytes.first == UInt8(ascii: "+") { bytes.removeFirst() }
        var base = base
        if bytes.first == UInt8(ascii: "0"), let mark = bytes.dropFirst().first {
            let marked = [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2][mark | 0x20]
            if let marked, base == 0 || base == marked {
                base = marked
                bytes.removeFirst(2)
                if bytes.first == UInt8(ascii: "_") { bytes.removeFirst() }
            }
        }
        if base == 0 {
            // Without a mark a leading zero is allowed only in zero itself.
            if bytes.first == UInt8(ascii: "0"),
                bytes.contains(where: { $0 != UInt8(ascii: "0") && $0 != UInt8(ascii: "_") })
            {
                return .none
            }
            base = 10
        }
        guard let digits = withoutUnderscores(bytes), !digits.isEmpty,
            digits.allSatisfy({ Character(Unicode.Scalar($0)).isLetter || Character(Unicode.Scalar($0)).isNumber })
        else { return .none }
        let number = (isNegative ? "-" : "") + String(decoding: digits, as: UTF8.self)
        if let value = Int(number, radix: base) { return .value(value) }
        let isNumber = digits.allSatisfy { Int(String(Unicode.Scalar($0)), radix: base) != nil }
        return isNumber ? .tooLarge : .none
    }

    private static func float(_ text: String) -> Double? {
        var bytes = Array(TemplateText.strip(text).utf8)[...]
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative || bytes.first == UInt8(ascii: "+") { bytes.removeFirst() }
        let sign = isNegative ? -1.0 : 1.0
        switch String(decoding: bytes, as: UTF8.self).lowercased() {
        case "inf", "infinity": return sign * .infinity
        case "nan": return .nan
        default: break
        }
        guard let digits = withoutUnderscores(bytes), let first = digits.first,
            first == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first),
            digits.allSatisfy({ "0123456789.eE+-".utf8.contains($0) })
        else { return nil }
        var number = String(decoding: digits, as: UTF8.self)
        // Swift wants digits on both sides of the point.
        if first == UInt8(ascii: ".") { number = "0" + number }
        if let point = number.firstIndex(of: ".") {
            let next = number.index(after: point)
            if next == number.endIndex || !number[next].isNumber {
                guard first != UInt8(ascii: ".") else { return nil }
                number.insert("0", at: next)
            }
        }
        return Double(number).map { sign * $0 }
    }

    /// Digits without the underscores between them; nil where one is not between digits.
    private static func withoutUnderscores(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        var previous = UInt8(ascii: "_")
        for byte in bytes {
            if byte == UInt8(ascii: "_") {
                guard previous != byte, previous != UInt8(ascii: ".") else { return nil }
            } else {
                if previous == UInt8(ascii: "_"), byte == UInt8(ascii: "."), !result.isEmpty { return nil }
                result.append(byte)
            }
            previous = byte
        }
        return previous == UInt8(ascii: "_") ? nil : result
    }

    // MARK: Rounding

    private func round(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: "round", to: ["precision", "method"])
        let precision = try integer(bound[0], default: 0, of: "round")
        let method = try text(bound[1], default: "common", of: "round")
        guard (-400...400).contains(precision) else { throw fail("round needs a precision of at most 400 digits") }
        let number = try number(value, of: "round")
        switch method {
        case "common":
            if let integer = value.index { return .integer(try round(integer, precision)) }
            guard number.isFinite else { return value }
            if precision >= 0 {
                // The C library rounds the exact decimal value, half to even, as Python does.
                guard let result = Double(TemplateFormat.fixed(number, precision: precision)) else { return value }
                return .float(result)
            }
            let unit = pow(10, Double(-precision))
            return .float(unit.isFinite ? (number / unit).rounded(.toNearestOrEven) * unit : 0)
        case "ceil", "floor":
            guard number.isFinite else { throw fail("round needs a finite number") }
            let unit = pow(10, Double(precision))
            let scaled = number * unit
            return .float((method == "ceil" ? scaled.rounded(.up) : scaled.rounded(.down)) / unit)
        default: throw fail("round knows the methods common, ceil and floor")
        }
    }

    /// To tens, hundreds and so on, half to even.
    private func round(_ number: Int, _ precision: Int) throws(TemplateFault) -> Int {
        guard precision < 0 else { return number }
        guard precision >= -18 else { return 0 }
        var unit = 1
        for _ in 0..<(-precision) { unit *= 10 }
        let (quotient, rest) = number.quotientAndRemainder(dividingBy: unit)
        let twice = rest.magnitude * 2
        let goesAway = twice > UInt(unit) || twice == UInt(unit) && quotient % 2 != 0
        let (result, overflow) = (quotient + (goesAway ? number.signum() : 0)).multipliedReportingOverflow(by: unit)
        guard !overflow else { throw fail("an integer does not fit into 64 bits") }
        return result
    }
}
