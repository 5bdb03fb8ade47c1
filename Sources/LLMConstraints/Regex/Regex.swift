// Regular expressions: the part of the usual syntax that is regular, matched in linear time.
//
// Literals, `.` (no line end), classes with ranges and `^`, \d \w \s (ASCII) and \D \W \S, \p{L} and the other general
// categories, groups (captures count for nothing), `|`, `?`, `*`, `+`, `{m}`, `{m,}`, `{m,n}` also with a lazy `?`, `^`, `$`.
// Not: back-references, look-around, word boundaries, possessive repetition, inline flags.

enum Regex {
    /// The whole text matches.
    static func automaton(_ pattern: String) throws(ConstraintError) -> ByteAutomaton {
        try checked(ByteAutomaton(try expression(pattern), place: "regex"), pattern)
    }

    /// Some part of the text matches, as in JSON Schema's `pattern`. Every character may be spelled otherwise.
    /// - Parameter spell: how one of a set of characters is written.
    static func search(
        _ pattern: String, place: String, spell: (ScalarSet) -> Expression
    ) throws(ConstraintError) -> ByteAutomaton {
        let inner: Expression
        do throws(ConstraintError) {
            inner = try expression(pattern)
        } catch {
            throw ConstraintError(error.kind, place, "\(error.place): \(error.reason)")
        }
        let around = Expression.any(.scalars(.all))
        let whole = Expression.sequence([around, inner, around]).mapScalars(spell)
        return try checked(ByteAutomaton(whole, place: place), pattern, place)
    }

    static func expression(_ pattern: String) throws(ConstraintError) -> Expression {
        var parser = RegexParser(pattern)
        return try parser.parse()
    }

    private static func checked(
        _ automaton: ByteAutomaton, _ pattern: String, _ place: String = "regex"
    ) throws(ConstraintError) -> ByteAutomaton {
        if automaton.isEmpty { throw ConstraintError(.impossible, place, "no text matches it") }
        return automaton
    }
}

struct RegexParser {
    private let text: [Unicode.Scalar]
    private var position = 0
    private var depth = 0

    init(_ pattern: String) { text = Array(pattern.unicodeScalars) }

    mutating func parse() throws(ConstraintError) -> Expression {
        let expression = try alternatives()
        if position < text.count { throw error(.invalid, "this ) closes no group") }
        return expression
    }

    private var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        if peek != scalar { return false }
        position += 1
        return true
    }

    private mutating func take(_ word: String) -> Bool {
        let scalars = Array(word.unicodeScalars)
        guard text[position...].starts(with: scalars) else { return false }
        position += scalars.count
        return true
    }

    private func error(_ kind: ConstraintError.Kind, _ reason: String, at place: Int? = nil) -> ConstraintError {
        ConstraintError(kind, "character \((place ?? position) + 1)", reason)
    }

    private mutating func alternatives() throws(ConstraintError) -> Expression {
        depth += 1
        defer { depth -= 1 }
        if depth > ConstraintLimits.depth {
            throw error(.tooLarge, "more than \(ConstraintLimits.depth) groups inside one another")
        }
        var choices = [try sequence()]
        while take("|") { choices.append(try sequence()) }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func sequence() throws(ConstraintError) -> Expression {
        var parts: [Expression] = []
        while let next = peek, next != "|", next != ")" {
            let start = position
            let part = try atom()
            parts.append(try repeated(part, from: start))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    // MARK: Repetition

    private mutating func repeated(_ part: Expression, from start: Int) throws(ConstraintError) -> Expression {
        guard let (least, most) = try quantifier() else { return part }
        switch part {
        case .begin, .end: throw error(.invalid, "an anchor can't be repeated", at: start)
        default: break
        }
        if take("+") { throw error(.unsupported, "possessive repetition is not supported", at: position - 1) }
        _ = take("?")
        if let next = peek, next == "*" || next == "+" || next == "?" {
            throw error(.invalid, "nothing to repeat")
        }
        return .repeated(part, least, most)
    }

    private mutating func quantifier() throws(ConstraintError) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard peek == "{" else { return nil }
        let start = position
        position += 1
        let least = try count()
        var most = least
        if take(",") { most = peek == "}" ? nil : try count() }
        guard let least, take("}") else { throw error(.invalid, "{m}, {m,} or {m,n} is expected here", at: start) }
        if let most, most < least { throw error(.invalid, "{\(least),\(most)} has its bounds reversed", at: start) }
        return (least, most)
    }

    private mutating func count() throws(ConstraintError) -> Int? {
        var value: Int?
        while let digit = peek.flatMap({ $0.isASCII ? Character($0).wholeNumberValue : nil }) {
            value = (value ?? 0) * 10 + digit
            if value! > ConstraintLimits.repetitions {
                throw error(.tooLarge, "a count is at most \(ConstraintLimits.repetitions)")
            }
            position += 1
        }
        return value
    }

    // MARK: Atoms

    private mutating func atom() throws(ConstraintError) -> Expression {
        let start = position
        let scalar = text[position]
        position += 1
        switch scalar {
        case "(": return try group(from: start)
        case "[": return .scalars(try set(from: start))
        case ".": return .scalars(ScalarSet(["\n", "\r"] as [Unicode.Scalar]).inverted)
        case "^": return .begin
        case "$": return .end
        case "\\": return .scalars(try escape(inSet: false))
        case "*", "+", "?": throw error(.invalid, "nothing to repeat", at: start)
        case "{": throw error(.invalid, "{ must follow what it repeats, or be written \\{", at: start)
        default: return .scalars(ScalarSet([scalar]))
        }
    }

    private mutating func group(from start: Int) throws(ConstraintError) -> Expression {
        if take("?") {
            if take("P<")
                || (peek == "<" && position + 1 < text.count && !"=!".unicodeScalars.contains(text[position + 1]))
            {
                while let next = peek, next != ">" {
                    guard
                        next == "_" || next.properties.isAlphabetic || next.properties.numericType != nil || next == "<"
                    else { throw error(.invalid, "a group's name has letters, digits and _") }
                    position += 1
                }
                guard take(">") else { throw error(.invalid, "the group's name is not closed", at: start) }
            } else if !take(":") {
                let isLook = ["=", "!", "<=", "<!"].contains { sign in
                    text[position...].starts(with: sign.unicodeScalars)
                }
                throw error(
                    .unsupported, isLook ? "look-around is not supported" : "this kind of group is not supported",
                    at: start)
            }
        }
        let expression = try alternatives()
        guard take(")") else { throw error(.invalid, "the group that begins here is not closed", at: start) }
        return expression
    }

    private mutating func set(from start: Int) throws(ConstraintError) -> ScalarSet {
        let isInverted = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        var isFirst = true
        while let next = peek, next != "]" || isFirst {
            let place = position
            let low = try setElement()
            isFirst = false
            guard peek == "-", position + 1 < text.count, text[position + 1] != "]" else {
                ranges += low.ranges
                continue
            }
            position += 1
            let high = try setElement()
            guard let first = low.single, let last = high.single else {
                throw error(.invalid, "a range needs a single character on both sides", at: place)
            }
            guard first <= last else { throw error(.invalid, "the range has its bounds reversed", at: place) }
            ranges.append(first...last)
        }
        guard take("]") else { throw error(.invalid, "the class that begins here is not closed", at: start) }
        let set = ScalarSet(ranges)
        return isInverted ? set.inverted : set
    }

    private mutating func setElement() throws(ConstraintError) -> ScalarSet {
        let scalar = text[position]
        position += 1
        if scalar == "[", let next = peek, next == ":" || next == "." || next == "=" {
            throw error(.unsupported, "POSIX classes are not supported", at: position - 1)
        }
        return scalar == "\\" ? try escape(inSet: true) : ScalarSet([scalar])
    }

    // MARK: Escapes

    private mutating func escape(inSet: Bool) throws(ConstraintError) -> ScalarSet {
        let start = position - 1
        guard let scalar = peek else { throw error(.invalid, "the pattern ends after \\", at: start) }
        position += 1
        switch scalar {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverted
        case "w": return .wordCharacters
        case "W": return ScalarSet.wordCharacters.inverted
        case "s": return .spaces
        case "S": return ScalarSet.spaces.inverted
        case "n": return ScalarSet(["\n"] as [Unicode.Scalar])
        case "r": return ScalarSet(["\r"] as [Unicode.Scalar])
        case "t": return ScalarSet(["\t"] as [Unicode.Scalar])
        case "f": return ScalarSet([0x0C...0x0C])
        case "v": return ScalarSet([0x0B...0x0B])
        case "0": return ScalarSet([0...0])
        case "b" where inSet: return ScalarSet([8...8])
        case "x": return try character(digits: 2...2, from: start)
        case "u":
            if take("{") {
                let set = try character(digits: 1...6, from: start)
                guard take("}") else { throw error(.invalid, "\\u{…} is not closed", at: start) }
                return set
            }
            return try character(digits: 4...4, from: start)
        case "p", "P": return try category(isInverted: scalar == "P", from: start)
        case "b", "B": throw error(.unsupported, "word boundaries are not supported", at: start)
        case "A", "z", "Z": throw error(.unsupported, "\\\(scalar) is not supported; use ^ and $", at: start)
        case "1"..."9", "k", "g": throw error(.unsupported, "back-references are not supported", at: start)
        default:
            if scalar.isASCII, Character(scalar).isLetter || Character(scalar).isNumber {
                throw error(.unsupported, "\\\(scalar) is not supported", at: start)
            }
            return ScalarSet([scalar])
        }
    }

    private mutating func character(digits: ClosedRange<Int>, from start: Int) throws(ConstraintError) -> ScalarSet {
        var code: UInt32 = 0
        var count = 0
        while count < digits.upperBound, let digit = peek.flatMap({ $0.isASCII ? Character($0).hexDigitValue : nil }) {
            code = code << 4 | UInt32(digit)
            count += 1
            position += 1
        }
        guard count >= digits.lowerBound else { throw error(.invalid, "hexadecimal digits are expected", at: start) }
        guard Unicode.Scalar(code) != nil else { throw error(.invalid, "the code is no character", at: start) }
        return ScalarSet([code...code])
    }

    private mutating func category(isInverted: Bool, from start: Int) throws(ConstraintError) -> ScalarSet {
        var name = ""
        if take("{") {
            while let next = peek, next != "}", name.unicodeScalars.count < 32 {
                name.unicodeScalars.append(next)
                position += 1
            }
            guard take("}") else { throw error(.invalid, "\\p{…} is not closed", at: start) }
        } else if let next = peek {
            name.unicodeScalars.append(next)
            position += 1
        }
        guard let set = ScalarSet.category(name) else {
            throw error(
                .unsupported, "\\p{\(name)} is not supported; general categories such as L or Nd are", at: start)
        }
        return isInverted ? set.inverted : set
    }
}
