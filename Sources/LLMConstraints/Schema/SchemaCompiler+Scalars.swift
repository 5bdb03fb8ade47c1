// Strings and numbers.
import JSON

extension SchemaCompiler {
    mutating func string(_ members: Members, _ pointer: String) throws(ConstraintError) -> Expression {
        var body: ByteAutomaton?
        func add(_ automaton: ByteAutomaton) throws(ConstraintError) {
            body =
                try body.map { body throws(ConstraintError) in try body.intersection(automaton, place: pointer) }
                ?? automaton
            if body!.isEmpty { throw ConstraintError(.impossible, pointer, "no string satisfies all of it") }
        }
        let patterns = members["pattern"].map { ($0.arrayValue ?? [$0]).compactMap(\.stringValue) } ?? []
        for pattern in patterns {
            try add(try Regex.search(pattern, place: "\(pointer)/pattern", spell: JSONGrammar.spelling))
        }
        if let format = members["format"]?.stringValue {
            guard let pattern = StringFormat.patterns[format] else {
                let known = StringFormat.patterns.keys.sorted().joined(separator: ", ")
                throw ConstraintError(.unsupported, "\(pointer)/format", "\"\(format)\" is not supported; \(known) are")
            }
            try add(try Regex.search(pattern, place: "\(pointer)/format", spell: JSONGrammar.spelling))
        }
        let least = members["minLength"]?.intValue ?? 0
        let most = members["maxLength"]?.intValue
        if let most, most < least {
            throw ConstraintError(.impossible, pointer, "minLength \(least) is more than maxLength \(most)")
        }
        if least > 0 || most != nil {
            try add(try ByteAutomaton(.repeated(JSONGrammar.character, least, most), place: pointer))
        }
        guard let body else { return .sequence([.text("\""), .call(string())]) }
        return .sequence([.text("\""), rule(pointer, .sequence([.automaton(body), .text("\"")]))])
    }

    mutating func number(
        _ members: Members, isInteger: Bool, _ pointer: String
    ) throws(ConstraintError) -> Expression {
        let bounds: [(String, DecimalBound.Relation)] = [
            ("minimum", .atLeast), ("maximum", .atMost), ("exclusiveMinimum", .above), ("exclusiveMaximum", .below),
        ]
        let used = bounds.filter { members[$0.0] != nil }
        let multiple = members["multipleOf"]
        if used.isEmpty && multiple == nil { return .call(isInteger ? integer() : number()) }
        // A number with an exponent can't be compared digit by digit.
        let plain = isInteger ? JSONGrammar.integer : .sequence([JSONGrammar.integer, .optional(JSONGrammar.fraction)])
        var automaton = try ByteAutomaton(plain, place: pointer)
        for (name, relation) in used {
            guard let bound = DecimalBound(members[name]!, relation) else {
                throw ConstraintError(.unsupported, "\(pointer)/\(name)", "has too many digits")
            }
            automaton = try automaton.intersection(bound.automaton, place: pointer)
        }
        if let multiple {
            guard isInteger, let divisor = multiple.intValue, (1...1000).contains(divisor) else {
                throw ConstraintError(
                    .unsupported, "\(pointer)/multipleOf", "is supported for integers, 1 to 1000")
            }
            automaton = try automaton.intersection(DecimalBound.multiples(of: divisor), place: pointer)
        }
        if automaton.isEmpty { throw ConstraintError(.impossible, pointer, "no number satisfies all of it") }
        return rule(pointer, .automaton(automaton))
    }
}
