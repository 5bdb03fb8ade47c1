// The tests behind `is`.

extension Interpreter {
    func test(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> Bool {
        if let op = Self.comparisonTests[name] {
            let bound = try bind(arguments, of: "test '\(name)'", to: ["other"], required: 1, positionalOnly: 1)
            return try compare(value, op, bound[0] ?? .none)
        }
        switch name {
        case "divisibleby", "sameas":
            let bound = try bind(arguments, of: "test '\(name)'", to: ["num"], required: 1)
            if name == "sameas" { return same(value, bound[0] ?? .none) }
            return try equal(try combine(value, .modulo, bound[0] ?? .none), .integer(0))
        default: _ = try bind(arguments, of: "test '\(name)'", to: [])
        }
        switch name {
        case "defined": return !value.isUndefined
        case "undefined": return value.isUndefined
        case "none": if case .none = value { return true }
        case "true": if case .boolean(true) = value { return true }
        case "false": if case .boolean(false) = value { return true }
        case "boolean": if case .boolean = value { return true }
        case "integer": if case .integer = value { return true }
        case "float": if case .float = value { return true }
        case "number": return value.number != nil
        case "string": return value.text != nil
        case "escaped": if case .markup = value { return true }
        case "mapping": if case .dictionary = value { return true }
        case "callable": if case .callable = value { return true }
        case "iterable": return isIterable(value)
        case "sequence": return isSequence(value)
        case "odd", "even":
            return try equal(try combine(value, .modulo, .integer(2)), .integer(name == "odd" ? 1 : 0))
        case "lower", "upper":
            let text = try text(value)
            try charge(text.utf8.count)
            return TemplateText.test("is\(name)", text)
        case "filter", "test":
            guard let wanted = value.text else { return false }
            return name == "filter" ? Filter(rawValue: wanted) != nil : Self.testNames.contains(wanted)
        default: throw fail("there is no test '\(name.prefix(40))'")
        }
        return false
    }

    private static let comparisonTests: [String: ComparisonOperator] = [
        "eq": .equal, "==": .equal, "equalto": .equal, "ne": .notEqual, "!=": .notEqual,
        "lt": .less, "<": .less, "lessthan": .less, "le": .lessOrEqual, "<=": .lessOrEqual,
        "gt": .greater, ">": .greater, "greaterthan": .greater, "ge": .greaterOrEqual, ">=": .greaterOrEqual,
        "in": .contained,
    ]

    private static let testNames: Set<String> = Set(comparisonTests.keys).union([
        "divisibleby", "sameas", "defined", "undefined", "none", "true", "false", "boolean", "integer", "float",
        "number", "string", "escaped", "mapping", "callable", "iterable", "sequence", "odd", "even", "lower", "upper",
        "filter", "test",
    ])

    private func isIterable(_ value: TemplateValue) -> Bool {
        switch value {
        case .undefined, .string, .markup, .list, .tuple, .dictionary, .view, .range, .iterator, .loop: true
        default: false
        }
    }

    /// Has a length and elements by index, which an undefined value pretends to.
    private func isSequence(_ value: TemplateValue) -> Bool {
        switch value {
        case .undefined, .string, .markup, .list, .tuple, .dictionary, .range: true
        default: false
        }
    }
}
