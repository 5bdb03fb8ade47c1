// Which types a schema speaks of.
import JSON

enum SchemaTypes {
    private static let keywords: [(SchemaType, [String])] = [
        (.object, ["properties", "required", "additionalProperties"]),
        (.array, ["items", "prefixItems", "minItems", "maxItems"]),
        (.string, ["minLength", "maxLength", "pattern", "format"]),
        (.number, ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ]

    /// Keywords besides `type`, `enum` and `nullable`.
    static func keywords(of members: Members) -> [String] {
        members.keys.filter { name in keywords.contains { $0.1.contains(name) } }
    }

    /// The types that `type` names; without it those that the keywords are for; without any all of them.
    static func of(_ members: Members) -> Set<SchemaType> {
        if let type = members["type"] {
            return Set((type.arrayValue ?? [type]).compactMap { $0.stringValue.flatMap(SchemaType.init(rawValue:)) })
        }
        let found = keywords.filter { $0.1.contains { members[$0] != nil } }.map(\.0)
        return found.isEmpty ? Set(SchemaType.allCases) : Set(found)
    }

    static func fits(_ value: JSONValue, _ types: Set<SchemaType>) -> Bool {
        switch value {
        case .null: types.contains(.null)
        case .bool: types.contains(.boolean)
        case .integer: types.contains(.integer) || types.contains(.number)
        case .number: types.contains(.number) || (types.contains(.integer) && value.intValue != nil)
        case .string: types.contains(.string)
        case .array: types.contains(.array)
        case .object: types.contains(.object)
        }
    }
}

/// Whether no value satisfies two schemas. Says so only where it is plain.
enum SchemaOverlap {
    static func areDisjoint(_ first: Members, _ second: Members) -> Bool {
        if let values = first["enum"]?.arrayValue, let others = second["enum"]?.arrayValue {
            return !values.contains(where: others.contains)
        }
        var types = (SchemaTypes.of(first), SchemaTypes.of(second))
        for (schema, other) in [(first, types.1), (second, types.0)] {
            if let values = schema["enum"]?.arrayValue, schema["type"] == nil {
                return values.allSatisfy { !SchemaTypes.fits($0, other) }
            }
        }
        if types.0.contains(.number) { types.0.insert(.integer) }
        if types.1.contains(.number) { types.1.insert(.integer) }
        let common = types.0.intersection(types.1)
        if common.isEmpty { return true }
        guard common == [.object] else { return false }
        // Objects that carry different values in a member that both must have.
        let required = Set((first["required"]?.arrayValue ?? []).compactMap(\.stringValue))
        for name in (second["required"]?.arrayValue ?? []).compactMap(\.stringValue) where required.contains(name) {
            if let one = values(first, name), let other = values(second, name), !one.contains(where: other.contains) {
                return true
            }
        }
        return false
    }

    private static func values(_ schema: Members, _ name: String) -> [JSONValue]? {
        guard let property = schema["properties"]?[name] else { return nil }
        return property["const"].map { [$0] } ?? property["enum"]?.arrayValue
    }
}
