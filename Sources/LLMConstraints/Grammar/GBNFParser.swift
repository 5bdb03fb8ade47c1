// Grammars in GBNF, the notation of llama.cpp.
//
// `name ::= …` where … has "text", [classes], `.`, names of rules, ( ), |, *, +, ?, {m}, {m,}, {m,n}; # begins a comment.
// The text is derived from the rule `root`. Left recursion is refused.

struct GBNFParser {
    private let text: [Unicode.Scalar]
    private var position = 0
    private var depth = 0
    private var numbers: [String: Int] = [:]
    private var rules: [(name: String, expression: Expression?, use: Int)] = []

    static func grammar(_ text: String) throws(ConstraintError) -> Grammar {
        var parser = GBNFParser(text: Array(text.unicodeScalars))
        return try parser.parse()
    }

    private init(text: [Unicode.Scalar]) { self.text = text }

    private mutating func parse() throws(ConstraintError) -> Grammar {
        _ = try rule(named: "root", at: 0)
        skipSpace(newlines: true)
        while position < text.count {
            let start = position
            let name = takeName()
            if name.isEmpty { throw error(.invalid, "the name of a rule is expected here") }
            skipSpace(newlines: false)
            guard take(":"), take(":"), take("=") else { throw error(.invalid, "::= is expected here") }
            skipSpace(newlines: true)
            let number = try rule(named: name, at: start)
            guard rules[number].expression == nil else {
                throw error(.invalid, "rule \(name) is defined twice", at: start)
            }
            rules[number].expression = try alternatives(isInGroup: false)
            skipSpace(newlines: true)
        }
        var grammar = Grammar(rules: [])
        for rule in rules {
            guard let expression = rule.expression else {
                if rule.name == "root" { throw ConstraintError(.invalid, "", "there is no rule named root") }
                throw error(.invalid, "rule \(rule.name) is not defined", at: rule.use)
            }
            grammar.rules.append(Grammar.Rule(name: "rule \(rule.name)", expression: expression))
        }
        return grammar
    }

    private mutating func rule(named name: String, at use: Int) throws(ConstraintError) -> Int {
        if let number = numbers[name] { return number }
        if rules.count >= ConstraintLimits.rules {
            throw error(.tooLarge, "more than \(ConstraintLimits.rules) rules", at: use)
        }
        numbers[name] = rules.count
        rules.append((name, nil, use))
        return rules.count - 1
    }

    // MARK: Expressions

    /// Newlines count as space inside of groups, and after `|`.
    private mutating func alternatives(isInGroup: Bool) throws(ConstraintError) -> Expression {
        depth += 1
        defer { depth -= 1 }
        if depth > ConstraintLimits.depth {
            throw error(.tooLarge, "more than \(ConstraintLimits.depth) groups inside one another")
        }
        var choices = [try sequence(isInGroup: isInGroup)]
        while take("|") {
            skipSpace(newlines: true)
            choices.append(try sequence(isInGroup: isInGroup))
        }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func sequence(isInGroup: Bool) throws(ConstraintError) -> Expression {
        var parts: [Expression] = []
        while let next = peek {
            let start = position
            switch next {
            case "\"": parts.append(.sequence(try literal()))
            case "[": parts.append(.scalars(try set()))
            case ".":
                position += 1
                parts.append(.scalars(.all))
            case "(":
                position += 1
                skipSpace(newlines: true)
                parts.append(try alternatives(isInGroup: true))
                guard take(")") else { throw error(.invalid, "the group that begins here is not closed", at: start) }
            case "*", "+", "?", "{":
                guard let part = parts.popLast() else { throw error(.invalid, "nothing to repeat") }
                let (least, most) = try quantifier()
                parts.append(.repeated(part, least, most))
            case "<", "!": throw error(.unsupported, "tokens in a grammar are not supported")
            default:
                let name = takeName()
                if name.isEmpty { return .sequence(parts) }
                parts.append(.call(try rule(named: name, at: start)))
            }
            skipSpace(newlines: isInGroup)
        }
        return .sequence(parts)
    }

    private mutating func quantifier() throws(ConstraintError) -> (Int, Int?) {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        let start = position
        position += 1
        skipSpace(newlines: false)
        let least = try count()
        skipSpace(newlines: false)
        var most = least
        if take(",") {
            skipSpace(newlines: false)
            most = try count()
            skipSpace(newlines: false)
        }
        guard take("}"), least != nil || most != nil else {
            throw error(.invalid, "{m}, {m,}, {,n} or {m,n} is expected here", at: start)
        }
        if let most, most < least ?? 0 { throw error(.invalid, "the bounds are reversed", at: start) }
        return (least ?? 0, most)
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

    // MARK: Characters

    private mutating func literal() throws(ConstraintError) -> [Expression] {
        let start = position
        position += 1
        var parts: [Expression] = []
        while let next = peek, next != "\"" {
            if next == "\n" { break }
            parts.append(.scalars(ScalarSet([try character()])))
        }
        guard take("\"") else { throw error(.invalid, "the text that begins here is not closed", at: start) }
        return parts
    }

    private mutating func set() throws(ConstraintError) -> ScalarSet {
        let start = position
        position += 1
        let isInverted = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while let next = peek, next != "]" {
            let place = position
            let low = try character().value
            var high = low
            if peek == "-", position + 1 < text.count, text[position + 1] != "]" {
                position += 1
                high = try character().value
            }
            guard low <= high else { throw error(.invalid, "the range has its bounds reversed", at: place) }
            ranges.append(low...high)
        }
        guard take("]") else { throw error(.invalid, "the class that begins here is not closed", at: start) }
        let set = ScalarSet(ranges)
        return isInverted ? set.inverted : set
    }

    private mutating func character() throws(ConstraintError) -> Unicode.Scalar {
        let start = position
        let scalar = text[position]
        position += 1
        guard scalar == "\\" else { return scalar }
        guard let escaped = peek else { throw error(.invalid, "the grammar ends after \\", at: start) }
        position += 1
        switch escaped {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "\\", "\"", "[", "]", "-", "^", "/", "'": return escaped
        case "x": return try code(2, from: start)
        case "u": return try code(4, from: start)
        case "U": return try code(8, from: start)
        default: throw error(.invalid, "unknown escape", at: start)
        }
    }

    private mutating func code(_ digits: Int, from start: Int) throws(ConstraintError) -> Unicode.Scalar {
        var code: UInt32 = 0
        for _ in 0..<digits {
            guard let digit = peek.flatMap({ $0.isASCII ? Character($0).hexDigitValue : nil }) else {
                throw error(.invalid, "\(digits) hexadecimal digits are expected", at: start)
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = Unicode.Scalar(code) else { throw error(.invalid, "the code is no character", at: start) }
        return scalar
    }

    // MARK: Scalars

    private var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        if peek != scalar { return false }
        position += 1
        return true
    }

    private mutating func takeName() -> String {
        var name = String.UnicodeScalarView()
        while let next = peek, next == "-" || next == "_" || ScalarSet.wordCharacters.contains(next.value) {
            name.append(next)
            position += 1
        }
        return String(name)
    }

    private mutating func skipSpace(newlines: Bool) {
        while let next = peek {
            if next == "#" {
                while let next = peek, next != "\n", next != "\r" { position += 1 }
            } else if next == " " || next == "\t" || (newlines && (next == "\n" || next == "\r")) {
                position += 1
            } else {
                return
            }
        }
    }

    private func error(_ kind: ConstraintError.Kind, _ reason: String, at place: Int? = nil) -> ConstraintError {
        let before = text[..<min(place ?? position, text.count)]
        let line = before.count(where: { $0 == "\n" }) + 1
        let column = before.count - (before.lastIndex(of: "\n").map { $0 + 1 } ?? 0) + 1
        return ConstraintError(kind, "line \(line), column \(column)", reason)
    }
}
