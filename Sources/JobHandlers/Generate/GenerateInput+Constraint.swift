// Structured output: the fields by which a job says what its text must satisfy.
import JSON
import LLMConstraints
import LLMInference
import OrderedCollections

extension GenerateInput {
    package struct Constraint: Sendable {
        package let source: ConstraintSource
        /// The field to blame when the source can't be compiled.
        package let field: String
    }
}

extension GenerateInput.Constraint {
    /// Nil when the text is free. JSON is asked for by OpenAI's `response_format`, everything else by vLLM's
    /// `structured_outputs`.
    init?(_ fields: FieldReader) throws(InputError) {
        let format = try Self.responseFormat(fields)
        let structured = try Self.structuredOutputs(fields)
        if format != nil && structured != nil {
            throw InputError(field: "input.structured_outputs", reason: "a job has this or response_format, not both")
        }
        guard let constraint = format ?? structured else { return nil }
        self = constraint
    }

    /// What would end the text before it is valid, or keep it from ending.
    func refuseOtherEnds(_ parameters: SamplingParameters) throws(InputError) {
        let reason = "can't go with \(field.split(separator: ".")[1]), which says where the text ends"
        if !parameters.stop.isEmpty { throw InputError(field: "input.stop", reason: reason) }
        if parameters.ignoreEndOfText { throw InputError(field: "input.ignore_eos", reason: reason) }
    }

    private static func responseFormat(_ fields: FieldReader) throws(InputError) -> Self? {
        let place = "input.response_format"
        guard let members = try object(fields.members["response_format"], place) else { return nil }
        let type = members["type"]
        switch type?.stringValue {
        case "text":
            try refuseOthers(members, ["type"], place)
            return nil
        case "json_object":
            try refuseOthers(members, ["type"], place)
            return Self(source: .jsonObject, field: place)
        case "json_schema":
            try refuseOthers(members, ["type", "json_schema"], place)
        default:
            throw InputError(field: "\(place).type", reason: "must be text, json_object or json_schema")
        }
        let inner = "\(place).json_schema"
        guard let named = try object(members["json_schema"], inner) else {
            throw InputError(field: inner, reason: "missing: an object with the member schema")
        }
        try refuseOthers(named, ["name", "description", "strict", "schema"], inner)
        for name in ["name", "description"] where named[name].map({ $0 != .null && $0.stringValue == nil }) ?? false {
            throw InputError(field: "\(inner).\(name)", reason: "must be a string")
        }
        if let strict = named["strict"], strict != .null, strict.boolValue == nil {
            throw InputError(field: "\(inner).strict", reason: "must be true or false")
        }
        guard let schema = named["schema"] else {
            throw InputError(field: "\(inner).schema", reason: "missing")
        }
        return Self(source: .jsonSchema(schema), field: "\(inner).schema")
    }

    private static func structuredOutputs(_ fields: FieldReader) throws(InputError) -> Self? {
        let place = "input.structured_outputs"
        guard let members = try object(fields.members["structured_outputs"], place) else { return nil }
        for name in ["json", "json_object"] where members[name] != nil {
            throw InputError(field: "\(place).\(name)", reason: "JSON is asked for by response_format")
        }
        try refuseOthers(members, ["regex", "choice", "grammar"], place)
        guard members.count == 1, let (name, value) = members.elements.first else {
            throw InputError(field: place, reason: "must have exactly one of regex, choice and grammar")
        }
        let field = "\(place).\(name)"
        if name == "choice" {
            let strings = (value.arrayValue ?? []).compactMap { $0.stringValue }
            guard !strings.isEmpty, strings.count == value.arrayValue?.count else {
                throw InputError(field: field, reason: "must be a list of strings")
            }
            return Self(source: .choice(strings), field: field)
        }
        guard let text = value.stringValue else {
            throw InputError(field: field, reason: "must be a string, is \(value.typeName)")
        }
        return Self(source: name == "regex" ? .regex(text) : .grammar(text), field: field)
    }

    private static func object(_ value: JSONValue?, _ place: String) throws(InputError) -> OrderedDictionary<
        String, JSONValue
    >? {
        guard let value, value != .null else { return nil }
        guard case .object(let members) = value else {
            throw InputError(field: place, reason: "must be an object, is \(value.typeName)")
        }
        return members
    }

    private static func refuseOthers(
        _ members: OrderedDictionary<String, JSONValue>, _ known: [String], _ place: String
    ) throws(InputError) {
        for name in members.keys where !known.contains(name) {
            throw InputError(field: "\(place).\(name)", reason: "unknown field")
        }
    }
}
