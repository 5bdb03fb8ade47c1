// Reads typed, bounded fields of a job's input; every error names its field.
import JSON
import OrderedCollections

struct FieldReader {
    let members: OrderedDictionary<String, JSONValue>

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
