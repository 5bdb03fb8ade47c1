// Reads typed, bounded fields of a job's input; every error names its field.
import JSON
import LLMInference
import OrderedCollections

struct FieldReader {
    let members: OrderedDictionary<String, JSONValue>

    /// - Parameter known: fields that there are; any other one is refused.
    init(_ input: JSONValue, known: Set<String>) throws(InputError) {
        guard case .object(let members) = input else {
            throw InputError(field: "input", reason: "must be an object, is \(input.typeName)")
        }
        for name in members.keys where !known.contains(name) {
            throw InputError(field: "input.\(name)", reason: "unknown field")
        }
        self.members = members
    }

    func string(_ name: String) throws(InputError) -> String? { try read(name, "string", \.stringValue) }

    func bool(_ name: String) throws(InputError) -> Bool? { try read(name, "boolean", \.boolValue) }

    func array(_ name: String) throws(InputError) -> [JSONValue]? { try read(name, "array", \.arrayValue) }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(InputError) -> Int? {
        guard let value = try read(name, "whole number", \.intValue) else { return nil }
        guard range.contains(value) else { throw outside(name, "\(range.lowerBound)…\(range.upperBound)", "\(value)") }
        return value
    }

    func number(_ name: String, _ range: ClosedRange<Double>) throws(InputError) -> Float? {
        guard let value = try read(name, "number", \.doubleValue) else { return nil }
        guard range.contains(value) else { throw outside(name, "\(range.lowerBound)…\(range.upperBound)", "\(value)") }
        return Float(value)
    }

    /// One to `most` strings that are not empty; nil when the field is missing.
    func texts(_ name: String, most: Int) throws(InputError) -> [String]? {
        guard let elements = try array(name) else { return nil }
        guard (1...most).contains(elements.count) else {
            throw InputError(field: "input.\(name)", reason: "must have 1 to \(most) strings, has \(elements.count)")
        }
        var texts: [String] = []
        for (index, element) in elements.enumerated() {
            guard let text = element.stringValue else {
                throw InputError(
                    field: "input.\(name)[\(index)]", reason: "must be a string, is \(element.typeName)")
            }
            guard !text.isEmpty else {
                throw InputError(field: "input.\(name)[\(index)]", reason: "must not be empty")
            }
            texts.append(text)
        }
        return texts
    }

    /// The field `logprobs`: −1 for none, `true` is the token alone (0), a number also that many alternatives.
    func logprobs() throws(InputError) -> Int {
        if case .bool(let isWanted)? = members["logprobs"] { return isWanted ? 0 : -1 }
        return try integer("logprobs", 0...SamplingParameters.maximumLogprobs) ?? -1
    }

    /// A missing field and `null` are the same: the default.
    private func read<Value>(
        _ name: String, _ type: String, _ convert: (JSONValue) -> Value?
    ) throws(InputError) -> Value? {
        guard let value = members[name], value != .null else { return nil }
        guard let converted = convert(value) else {
            throw InputError(field: "input.\(name)", reason: "must be a \(type), is \(value.typeName)")
        }
        return converted
    }

    private func outside(_ name: String, _ range: String, _ value: String) -> InputError {
        InputError(field: "input.\(name)", reason: "must be \(range), is \(value)")
    }
}
