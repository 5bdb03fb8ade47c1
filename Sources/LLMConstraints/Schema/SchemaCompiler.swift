// JSON Schema (2020-12, the part that structured outputs need) to a grammar of JSON texts.
import JSON
import OrderedCollections

/// What is left open by the standard, and chosen here:
/// members come in the order of `required`, then the others in the schema's order; properties that the schema doesn't name are
/// not written unless `additionalProperties` asks for them; a schema without `type` has the type that its keywords are for;
/// between two parts there is nothing, one space, or a new line with up to 20 spaces.
struct SchemaCompiler {
    let root: JSONValue
    var rules: [Grammar.Rule] = []
    private var byPointer: [String: Int] = [:]
    private var shared: [String: Int] = [:]
    private var subschemas = 0
    /// Schemas inside one another, references followed.
    private var level = 0

    static func grammar(of schema: JSONValue) throws(ConstraintError) -> Grammar {
        try SchemaCheck.check(schema, "#")
        var compiler = SchemaCompiler(root: schema)
        _ = try compiler.reference("#", from: "#")
        return Grammar(rules: compiler.rules)
    }

    static func anyObject() -> Grammar {
        var compiler = SchemaCompiler(root: true)
        let root = compiler.reserve("json_object")
        compiler.rules[root].expression = .call(compiler.object())
        return Grammar(rules: compiler.rules)
    }

    private init(root: JSONValue) { self.root = root }

    // MARK: Rules

    mutating func reserve(_ name: String) -> Int {
        rules.append(Grammar.Rule(name: name, expression: .never))
        return rules.count - 1
    }

    mutating func rule(_ name: String, _ expression: Expression) -> Expression {
        let number = reserve(name)
        rules[number].expression = expression
        return .call(number)
    }

    /// A rule that is the same wherever it is used.
    mutating func shared(
        _ key: String, _ make: (inout SchemaCompiler) throws(ConstraintError) -> Expression
    ) throws(ConstraintError) -> Int {
        if let number = shared[key] { return number }
        let number = reserve(key)
        shared[key] = number
        rules[number].expression = try make(&self)
        return number
    }

    // MARK: References

    private mutating func reference(_ target: String, from place: String) throws(ConstraintError) -> Expression {
        if let number = byPointer[target] { return .call(number) }
        let number = reserve(target)
        byPointer[target] = number
        rules[number].expression = try compile(try resolve(target, from: place), target)
        return .call(number)
    }

    private func resolve(_ target: String, from place: String) throws(ConstraintError) -> JSONValue {
        guard target == "#" || target.hasPrefix("#/") else {
            throw ConstraintError(
                .unsupported, "\(place)/$ref", "\"\(target)\": only references into this schema (#/…)")
        }
        var value = root
        for step in target.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let name = Self.unescape(step)
            var next: JSONValue?
            switch value {
            case .object(let members): next = members[name]
            case .array(let elements): next = Int(name).flatMap { elements.indices.contains($0) ? elements[$0] : nil }
            default: break
            }
            guard let next else {
                throw ConstraintError(.invalid, "\(place)/$ref", "\"\(target)\" points to nothing")
            }
            value = next
        }
        // It may point to a place that is no schema by itself.
        try SchemaCheck.check(value, target)
        return value
    }

    private static func unescape(_ step: Substring) -> String {
        var bytes: [UInt8] = []
        let source = Array(step.utf8)
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "%"), index + 2 < source.count,
                let byte = UInt8(String(decoding: source[index + 1...index + 2], as: UTF8.self), radix: 16)
            {
                bytes.append(byte)
                index += 3
            } else if source[index] == UInt8(ascii: "~"), index + 1 < source.count {
                bytes.append(source[index + 1] == UInt8(ascii: "1") ? UInt8(ascii: "/") : UInt8(ascii: "~"))
                index += 2
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: One schema

    mutating func compile(_ schema: JSONValue, _ pointer: String) throws(ConstraintError) -> Expression {
        subschemas += 1
        if subschemas > ConstraintLimits.subschemas {
            throw ConstraintError(.tooLarge, pointer, "more than \(ConstraintLimits.subschemas) schemas")
        }
        level += 1
        defer { level -= 1 }
        if level > ConstraintLimits.levels {
            throw ConstraintError(
                .tooLarge, pointer,
                "more than \(ConstraintLimits.levels) schemas inside one another, references followed")
        }
        switch schema {
        case .bool(true): return .call(value())
        case .object(let members):
            let own = Self.withoutAnnotations(members)
            if own.count == 1, let target = own["$ref"]?.stringValue { return try reference(target, from: pointer) }
            var budget = ConstraintLimits.references
            return try alternatives(try flat(own, pointer, &budget), pointer, depth: 0)
        default: return .never
        }
    }

    private static func withoutAnnotations(_ members: Members) -> Members {
        members.filter { name, value in
            !SchemaCheck.annotations.contains(name) && !name.hasPrefix("x-") && name != "$defs" && name != "definitions"
                && name != "uniqueItems"
        }
    }

    /// Takes `$ref` and `allOf` in.
    private func flat(
        _ members: Members, _ pointer: String, _ budget: inout Int
    ) throws(ConstraintError) -> Members {
        var own = Self.withoutAnnotations(members)
        var parts: [(JSONValue, String)] = []
        if let target = own.removeValue(forKey: "$ref")?.stringValue {
            parts.append((try resolve(target, from: pointer), target))
        }
        for (index, part) in (own.removeValue(forKey: "allOf")?.arrayValue ?? []).enumerated() {
            parts.append((part, "\(pointer)/allOf/\(index)"))
        }
        if let value = own.removeValue(forKey: "const") {
            let member: Members = ["enum": .array([value])]
            own = try SchemaMerge.merge(own, member, pointer)
        }
        for (part, place) in parts {
            budget -= 1
            if budget < 0 {
                throw ConstraintError(
                    .tooLarge, pointer, "more than \(ConstraintLimits.references) references and parts of allOf")
            }
            switch part {
            case .bool(true): continue
            case .object(let members):
                own = try SchemaMerge.merge(own, try flat(members, place, &budget), pointer)
            default: own = try SchemaMerge.merge(own, ["enum": []], pointer)
            }
        }
        return own
    }

    /// Multiplies `anyOf` and `oneOf` out.
    private mutating func alternatives(
        _ members: Members, _ pointer: String, depth: Int
    ) throws(ConstraintError) -> Expression {
        var rest = members
        let isAny = rest["anyOf"] != nil
        guard let list = rest.removeValue(forKey: isAny ? "anyOf" : "oneOf")?.arrayValue else {
            return try single(members, pointer)
        }
        if depth > 16 { throw ConstraintError(.tooLarge, pointer, "more than 16 anyOf and oneOf inside one another") }
        var choices: [Expression] = []
        var flattened: [Members] = []
        for (index, alternative) in list.enumerated() {
            let place = "\(pointer)/\(isAny ? "anyOf" : "oneOf")/\(index)"
            if alternative == false { continue }
            let own = Self.withoutAnnotations(alternative.objectValue ?? [:])
            subschemas += 1
            if subschemas > ConstraintLimits.subschemas {
                throw ConstraintError(.tooLarge, pointer, "more than \(ConstraintLimits.subschemas) schemas")
            }
            // A reference stays one, so that a schema may refer to itself here.
            let isReference = rest.isEmpty && own.count == 1 && own["$ref"] != nil
            if isReference { choices.append(try compile(alternative, place)) }
            if isReference && isAny { continue }
            var budget = ConstraintLimits.references
            let merged = try SchemaMerge.merge(rest, try flat(own, place, &budget), pointer)
            flattened.append(merged)
            if !isReference { choices.append(try alternatives(merged, place, depth: depth + 1)) }
        }
        if isAny { return .choice(choices) }
        for (index, one) in flattened.enumerated() {
            for other in flattened[..<index] where !SchemaOverlap.areDisjoint(one, other) {
                throw ConstraintError(
                    .unsupported, "\(pointer)/oneOf", "the alternatives may hold at the same time; use anyOf")
            }
        }
        return .choice(choices)
    }

    private mutating func single(_ members: Members, _ pointer: String) throws(ConstraintError) -> Expression {
        var types = SchemaTypes.of(members)
        if members["nullable"] == true { types.insert(.null) }
        if let values = members["enum"]?.arrayValue { return try enumeration(values, members, pointer) }
        if types.isEmpty { return .never }
        if types == Set(SchemaType.allCases), SchemaTypes.keywords(of: members).isEmpty { return .call(value()) }
        if types.contains(.number) { types.remove(.integer) }
        var choices: [Expression] = []
        for type in SchemaType.allCases where types.contains(type) {
            switch type {
            case .object: choices.append(try object(members, pointer))
            case .array: choices.append(try array(members, pointer))
            case .string: choices.append(try string(members, pointer))
            case .integer, .number: choices.append(try number(members, isInteger: type == .integer, pointer))
            case .boolean: choices += [.text("true"), .text("false")]
            case .null: choices.append(.text("null"))
            }
        }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    /// The values as they are. Other keywords may only name types.
    private mutating func enumeration(
        _ values: [JSONValue], _ members: Members, _ pointer: String
    ) throws(ConstraintError) -> Expression {
        if let keyword = SchemaTypes.keywords(of: members).first {
            throw ConstraintError(.unsupported, pointer, "enum or const together with \(keyword) is not supported")
        }
        let types = members["type"] == nil ? Set(SchemaType.allCases) : SchemaTypes.of(members)
        var choices: [Expression] = []
        for value in values where SchemaTypes.fits(value, types) { choices.append(literal(value)) }
        return .choice(choices)
    }

    private func literal(_ value: JSONValue) -> Expression {
        switch value {
        case .null, .bool, .integer, .number, .string: .text(value.text())
        case .array(let elements):
            .sequence([
                .text("["), JSONGrammar.space,
                .list(
                    elements.map { Expression.Element(expression: literal($0), isRequired: true) },
                    separator: JSONGrammar.comma, rest: nil),
                JSONGrammar.space, .text("]"),
            ])
        case .object(let members):
            .sequence([
                .text("{"), JSONGrammar.space,
                .list(
                    members.map { name, value in
                        Expression.Element(
                            expression: .sequence([JSONGrammar.key(name), literal(value)]), isRequired: true)
                    }, separator: JSONGrammar.comma, rest: nil),
                JSONGrammar.space, .text("}"),
            ])
        }
    }
}
