// Two schemas that must both hold, as one.
import JSON
import OrderedCollections

enum SchemaMerge {
    /// Neither may have `$ref` or `allOf`. Where the result can't be written as one schema that is supported: an error.
    static func merge(_ first: Members, _ second: Members, _ place: String) throws(ConstraintError) -> Members {
        var merged = first
        for (name, value) in second {
            guard let known = merged[name] else {
                merged[name] = value
                continue
            }
            if known == value && name != "properties" { continue }
            merged[name] = try both(name, known, value, place)
        }
        if let properties = try properties(first, second, place) { merged["properties"] = .object(properties) }
        return merged
    }

    static func both(_ schemas: [JSONValue]) -> JSONValue { .object(["allOf": .array(schemas)]) }

    private static func both(
        _ name: String, _ first: JSONValue, _ second: JSONValue, _ place: String
    ) throws(ConstraintError) -> JSONValue {
        switch name {
        case "properties": return first
        case "type":
            let names = types(first).filter { types(second).contains($0) }
            let integers = [first, second].contains { types($0).contains("integer") && !types($0).contains("number") }
            let hasNumber = types(first).contains("number") || types(second).contains("number")
            let isInteger =
                integers && hasNumber && !names.contains("integer")
                && [first, second].allSatisfy { types($0).contains("integer") || types($0).contains("number") }
            return .array((names + (isInteger ? ["integer"] : [])).map { .string($0) })
        case "required":
            let known = first.arrayValue ?? []
            return .array(known + (second.arrayValue ?? []).filter { !known.contains($0) })
        case "enum": return .array((first.arrayValue ?? []).filter { (second.arrayValue ?? []).contains($0) })
        case "minimum", "exclusiveMinimum", "minLength", "minItems":
            return first.doubleValue! >= second.doubleValue! ? first : second
        case "maximum", "exclusiveMaximum", "maxLength", "maxItems":
            return first.doubleValue! <= second.doubleValue! ? first : second
        case "additionalProperties", "items":
            if first == false || second == false { return false }
            return both([first, second])
        case "pattern": return .array((first.arrayValue ?? [first]) + (second.arrayValue ?? [second]))
        case "anyOf", "oneOf":
            // Both lists must hold: the second one moves to each alternative of the first.
            let member: Members = [name: second]
            return .array((first.arrayValue ?? []).map { both([$0, .object(member)]) })
        case "nullable": return .bool(first == true && second == true)
        default: throw ConstraintError(.unsupported, place, "two different values of \(name) can't be combined")
        }
    }

    private static func types(_ value: JSONValue) -> [String] {
        (value.arrayValue ?? [value]).compactMap(\.stringValue)
    }

    /// A name that only one schema knows is an additional property of the other.
    private static func properties(
        _ first: Members, _ second: Members, _ place: String
    ) throws(ConstraintError) -> Members? {
        guard first["properties"] != nil || second["properties"] != nil else { return nil }
        let known = first["properties"]?.objectValue ?? [:]
        let more = second["properties"]?.objectValue ?? [:]
        var merged: Members = [:]
        for (name, schema) in known {
            if let other = more[name] {
                merged[name] = schema == other ? schema : both([schema, other])
            } else {
                merged[name] = second["additionalProperties"].map { both([schema, $0]) } ?? schema
            }
        }
        for (name, schema) in more where known[name] == nil {
            merged[name] = first["additionalProperties"].map { both([schema, $0]) } ?? schema
        }
        return merged
    }
}
