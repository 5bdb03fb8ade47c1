// Objects and arrays.
import JSON
import OrderedCollections

extension SchemaCompiler {
    mutating func object(_ members: Members, _ pointer: String) throws(ConstraintError) -> Expression {
        let properties = members["properties"]?.objectValue ?? [:]
        let additional = members["additionalProperties"] ?? (members["properties"] == nil ? true : false)
        let required = OrderedSet((members["required"]?.arrayValue ?? []).compactMap(\.stringValue))
        if properties.isEmpty && required.isEmpty && additional == true { return .call(object()) }
        let number = reserve(pointer)
        var elements: [Expression.Element] = []
        for name in required {
            if properties[name] == nil && additional == false {
                throw ConstraintError(
                    .impossible, "\(pointer)/required", "\"\(name)\" is not in properties, and others are not allowed")
            }
            elements.append(try element(name, properties[name] ?? additional, pointer, isRequired: true))
        }
        for (name, schema) in properties where !required.contains(name) {
            elements.append(try element(name, schema, pointer, isRequired: false))
        }
        var rest: Expression?
        if additional != false {
            let names = Set(properties.keys).union(required)
            let value = try compile(additional, "\(pointer)/additionalProperties")
            let key = try otherNames(names, pointer)
            rest = .sequence([key, .text(":"), JSONGrammar.space, additional == true ? .call(self.value()) : value])
        }
        rules[number].expression = .sequence([
            .text("{"), JSONGrammar.space, .list(elements, separator: JSONGrammar.comma, rest: rest),
            JSONGrammar.space, .text("}"),
        ])
        return .call(number)
    }

    private mutating func element(
        _ name: String, _ schema: JSONValue, _ pointer: String, isRequired: Bool
    ) throws(ConstraintError) -> Expression.Element {
        let value = try compile(schema, "\(pointer)/properties/\(SchemaCheck.escape(name))")
        return Expression.Element(expression: .sequence([JSONGrammar.key(name), value]), isRequired: isRequired)
    }

    /// A quoted name that is none of these. Written without escapes, so that it can't be one of them in disguise.
    private mutating func otherNames(_ names: Set<String>, _ pointer: String) throws(ConstraintError) -> Expression {
        let any = try ByteAutomaton(.any(.scalars(JSONGrammar.plain)), place: pointer)
        let known = try ByteAutomaton(.choice(names.map { .text($0) }), place: pointer)
        let others = names.isEmpty ? any : try any.intersection(known.complement, place: pointer)
        return rule("\(pointer)/additionalProperties", .sequence([.text("\""), .automaton(others), .text("\"")]))
    }

    mutating func array(_ members: Members, _ pointer: String) throws(ConstraintError) -> Expression {
        let prefix = members["prefixItems"]?.arrayValue ?? []
        let items = members["items"] ?? true
        let least = members["minItems"]?.intValue ?? 0
        let most = members["maxItems"]?.intValue
        if let most, most < least {
            throw ConstraintError(.impossible, pointer, "minItems \(least) is more than maxItems \(most)")
        }
        if prefix.isEmpty && items == true && least == 0 && most == nil { return .call(array()) }
        let number = reserve(pointer)
        var elements: [Expression] = []
        for (index, schema) in prefix.enumerated().prefix(most ?? .max) {
            elements.append(try compile(schema, "\(pointer)/prefixItems/\(index)"))
        }
        let item = try compile(items, "\(pointer)/items")
        // From the end: each element stands only where the one before it does.
        let more = most.map { max(0, $0 - elements.count) }
        let needed = max(0, least - elements.count)
        var tail = Expression.empty
        var beginning = Expression.empty
        if more != 0 {
            tail = .repeated(.sequence([JSONGrammar.comma, item]), needed, more)
            if elements.isEmpty {
                let following = Expression.repeated(
                    .sequence([JSONGrammar.comma, item]), max(0, needed - 1), more.map { $0 - 1 })
                beginning = .sequence([item, following])
                if needed == 0 { beginning = .optional(beginning) }
            }
        }
        for (index, element) in elements.enumerated().reversed() {
            let part =
                index == 0 ? .sequence([element, tail]) : Expression.sequence([JSONGrammar.comma, element, tail])
            tail = index < least ? part : .optional(part)
            beginning = tail
        }
        rules[number].expression = .sequence([
            .text("["), JSONGrammar.space, beginning, JSONGrammar.space, .text("]"),
        ])
        return .call(number)
    }
}
