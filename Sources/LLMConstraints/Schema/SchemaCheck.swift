// Looks through a whole schema before anything is built: every keyword must be known, supported, and have a value of its type.
import JSON
import OrderedCollections

typealias Members = OrderedDictionary<String, JSONValue>

enum SchemaCheck {
    /// Without effect on what is valid.
    static let annotations: Set<String> = [
        "title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly",
        "writeOnly", "contentMediaType", "contentEncoding", "example", "discriminator",
    ]
    private static let subschemas: Set<String> = ["additionalProperties", "items"]
    private static let lists: Set<String> = ["anyOf", "oneOf", "allOf", "prefixItems"]
    private static let maps: Set<String> = ["properties", "$defs", "definitions"]
    private static let counts: Set<String> = ["minLength", "maxLength", "minItems", "maxItems"]
    private static let numbers: Set<String> = [
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    ]
    private static let unsupported: Set<String> = [
        "not", "if", "then", "else", "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems",
        "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "contains",
        "minContains", "maxContains", "uniqueItems", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef",
        "$recursiveAnchor", "$vocabulary", "additionalItems", "contentSchema",
    ]

    static func check(_ schema: JSONValue, _ pointer: String, depth: Int = 0) throws(ConstraintError) {
        if depth > ConstraintLimits.depth {
            throw ConstraintError(.tooLarge, pointer, "more than \(ConstraintLimits.depth) schemas inside one another")
        }
        if case .bool = schema { return }
        guard case .object(let members) = schema else {
            throw ConstraintError(.invalid, pointer, "a schema is an object or a boolean, not \(schema.typeName)")
        }
        for (name, value) in members {
            let place = "\(pointer)/\(escape(name))"
            if subschemas.contains(name) {
                if name == "items", case .array = value {
                    throw ConstraintError(.unsupported, place, "a list of schemas is called prefixItems")
                }
                try check(value, place, depth: depth + 1)
            } else if lists.contains(name) {
                guard case .array(let schemas) = value, !schemas.isEmpty else {
                    throw ConstraintError(.invalid, place, "must be a list of schemas")
                }
                for (index, schema) in schemas.enumerated() {
                    try check(schema, "\(place)/\(index)", depth: depth + 1)
                }
            } else if maps.contains(name) {
                guard case .object(let schemas) = value else {
                    throw ConstraintError(.invalid, place, "must be an object of schemas, is \(value.typeName)")
                }
                for (key, schema) in schemas { try check(schema, "\(place)/\(escape(key))", depth: depth + 1) }
            } else {
                try checkValue(of: name, value, place)
            }
        }
    }

    private static func checkValue(of name: String, _ value: JSONValue, _ place: String) throws(ConstraintError) {
        func require(_ holds: Bool, _ wanted: String) throws(ConstraintError) {
            if !holds { throw ConstraintError(.invalid, place, "must be \(wanted)") }
        }
        switch name {
        case "type":
            let names = value.arrayValue ?? [value]
            try require(!names.isEmpty, "the name of a type or a list of such names")
            for type in names {
                try require(
                    type.stringValue.map { SchemaType.names.contains($0) } ?? false,
                    "one of \(SchemaType.names.sorted().joined(separator: ", ")), or a list of them")
            }
        case "enum": try require(!(value.arrayValue ?? []).isEmpty, "a list of values")
        case "const": break
        case "required":
            try require(value.arrayValue?.allSatisfy { $0.stringValue != nil } ?? false, "a list of names")
        case "pattern", "format", "$ref": try require(value.stringValue != nil, "a string")
        case "nullable": try require(value.boolValue != nil, "true or false")
        case "uniqueItems" where value == false: break
        case _ where counts.contains(name):
            guard let count = value.intValue, count >= 0 else {
                throw ConstraintError(.invalid, place, "must be a whole number, 0 or more")
            }
            if count > ConstraintLimits.repetitions {
                throw ConstraintError(.tooLarge, place, "is \(count), at most \(ConstraintLimits.repetitions)")
            }
        case _ where numbers.contains(name): try require(value.doubleValue != nil, "a number")
        case _ where annotations.contains(name) || name.hasPrefix("x-"): break
        case _ where unsupported.contains(name): throw ConstraintError(.unsupported, place, "is not supported")
        default: throw ConstraintError(.unsupported, place, "unknown keyword")
        }
    }

    /// A name as a step of a JSON pointer (RFC 6901).
    static func escape(_ name: String) -> String {
        String(
            String.UnicodeScalarView(
                name.unicodeScalars.flatMap { scalar -> [Unicode.Scalar] in
                    scalar == "~" ? ["~", "0"] : scalar == "/" ? ["~", "1"] : [scalar]
                }))
    }
}

/// The types of JSON Schema.
enum SchemaType: String, CaseIterable {
    case object, array, string, integer, number, boolean, null

    static let names = Set(allCases.map(\.rawValue))
}
