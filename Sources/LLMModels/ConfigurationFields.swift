// Reads configuration values under their two names: the key of `config.json` and the key of GGUF metadata.
import JSON

struct ConfigurationFields {
    enum Origin {
        /// The members of `config.json`, or of its `text_config`.
        case huggingFace(JSONValue)
        /// `prefix` is the architecture with a dot.
        case gguf(GGUFFile, prefix: String)
    }

    /// The file, for messages.
    let path: String
    let architecture: Architecture
    let origin: Origin

    /// A key in both formats; nil where a format has no such key.
    struct Key {
        let huggingFace: String?
        let gguf: String?
    }

    static func key(_ huggingFace: String?, _ gguf: String?) -> Key { Key(huggingFace: huggingFace, gguf: gguf) }

    // MARK: Typed access. A missing value (and null) gives the default; without a default it is an error.

    func integer(
        _ huggingFace: String?, _ gguf: String?, in range: ClosedRange<Int>, default fallback: Int? = nil
    ) throws(ModelError) -> Int {
        let key = Key(huggingFace: huggingFace, gguf: gguf)
        guard let value = try optionalInteger(key, in: range) ?? fallback else { throw missing(key) }
        return value
    }

    func optionalInteger(_ key: Key, in range: ClosedRange<Int>) throws(ModelError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let integer = value.integer else { throw invalid(key, "an integer is expected") }
        guard range.contains(integer) else {
            throw invalid(key, "\(integer) is not in \(range.lowerBound)...\(range.upperBound)")
        }
        return integer
    }

    /// A finite positive number.
    func number(
        _ huggingFace: String?, _ gguf: String?, default fallback: Double? = nil
    ) throws(ModelError) -> Double {
        let key = Key(huggingFace: huggingFace, gguf: gguf)
        guard let number = try optionalNumber(key) ?? fallback else { throw missing(key) }
        return number
    }

    func optionalNumber(_ key: Key) throws(ModelError) -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.number, number.isFinite, number > 0, Float(number).isNormal else {
            throw invalid(key, "a positive number is expected")
        }
        return number
    }

    func flag(_ huggingFace: String?, _ gguf: String?, default fallback: Bool) throws(ModelError) -> Bool {
        let key = Key(huggingFace: huggingFace, gguf: gguf)
        guard let value = value(key) else { return fallback }
        guard let flag = value.flag else { throw invalid(key, "true or false is expected") }
        return flag
    }

    func string(_ huggingFace: String?, _ gguf: String?) throws(ModelError) -> String? {
        let key = Key(huggingFace: huggingFace, gguf: gguf)
        guard let value = value(key) else { return nil }
        guard let string = value.string else { throw invalid(key, "a string is expected") }
        return string
    }

    /// The JSON value of a key of `config.json`; nil for a GGUF file.
    func json(_ key: String) -> JSONValue? {
        guard case .huggingFace(let members) = origin, let value = members[key], value != .null else { return nil }
        return value
    }

    /// The metadata value after the architecture's prefix; nil for a Hugging Face folder.
    func metadata(_ key: String) -> GGUFValue? {
        guard case .gguf(let file, let prefix) = origin else { return nil }
        return file.metadata[prefix + key]
    }

    /// The GGUF file, for what it says by the presence of a tensor; nil for a Hugging Face folder.
    var ggufFile: GGUFFile? { if case .gguf(let file, _) = origin { file } else { nil } }

    // MARK: Errors

    func invalid(_ key: Key, _ reason: String) -> ModelError {
        .invalidFile(path: path, field: field(key), reason: reason)
    }

    func unsupported(_ key: Key, _ reason: String) -> ModelError {
        .unsupported(path: path, field: field(key), reason: reason)
    }

    private func missing(_ key: Key) -> ModelError { invalid(key, "the key is missing") }

    private func field(_ key: Key) -> String {
        switch origin {
        case .huggingFace: "key \"\(key.huggingFace ?? "")\""
        case .gguf(_, let prefix): "key \"\(prefix)\(key.gguf ?? "")\""
        }
    }

    private struct Value {
        let integer: Int?
        let number: Double?
        let flag: Bool?
        let string: String?
    }

    private func value(_ key: Key) -> Value? {
        switch origin {
        case .huggingFace:
            key.huggingFace.flatMap(json).map {
                Value(integer: $0.intValue, number: $0.doubleValue, flag: $0.boolValue, string: $0.stringValue)
            }
        case .gguf:
            key.gguf.flatMap(metadata).map {
                Value(integer: $0.intValue, number: $0.doubleValue, flag: $0.boolValue, string: $0.stringValue)
            }
        }
    }
}
