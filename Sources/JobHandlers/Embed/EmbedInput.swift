// What an embed job asks for.
import JSON
import LLMInference

/// The `input` of an embed job. The database checks the same fields at INSERT.
struct EmbedInput: Sendable {
    let texts: [String]
    /// The client gave one text, not a list.
    let isOne: Bool
    let pooling: EmbeddingRequest.Pooling
    let normalizes: Bool

    static let mostTexts = 256

    init(_ value: JSONValue) throws(InputError) {
        let fields = try FieldReader(value, known: ["input", "pooling", "normalize"])
        switch fields.members["input"] ?? .null {
        case .null:
            throw InputError(field: "input.input", reason: "missing: a job needs one text or several")
        case .string(let text):
            guard !text.isEmpty else { throw InputError(field: "input.input", reason: "must not be empty") }
            texts = [text]
            isOne = true
        case .array:
            texts = try fields.texts("input", most: Self.mostTexts) ?? []
            isOne = false
        case let other:
            throw InputError(
                field: "input.input", reason: "must be a string or an array of strings, is \(other.typeName)")
        }
        let name = try fields.string("pooling") ?? EmbeddingRequest.Pooling.mean.rawValue
        guard let pooling = EmbeddingRequest.Pooling(rawValue: name) else {
            throw InputError(field: "input.pooling", reason: "must be mean or last")
        }
        self.pooling = pooling
        normalizes = try fields.bool("normalize") ?? true
    }

    func field(_ index: Int) -> String { isOne ? "input.input" : "input.input[\(index)]" }
}
