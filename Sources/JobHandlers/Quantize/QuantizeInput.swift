// The `input` of a quantize job. The database checks the same fields at INSERT.
import JSON
import LLMModels

struct QuantizeInput: Sendable {
    let target: QuantizationTarget
    /// The new model's name.
    let name: String
    /// What perplexity is measured on, before and after.
    let text: String?

    static let longestName = 200

    init(_ value: JSONValue, model: String) throws(InputError) {
        let fields = try FieldReader(value, known: ["to", "name", "text"])
        guard let to = try fields.string("to") else { throw InputError(field: "input.to", reason: "missing") }
        guard let target = QuantizationTarget(rawValue: to) else {
            throw InputError(field: "input.to", reason: "must be f16, int8 or int4")
        }
        self.target = target
        let ownName = model.split(separator: "/").last.map(String.init) ?? model
        name = try fields.string("name") ?? "\(ownName)-\(to)"
        guard Self.isName(name) else {
            throw InputError(
                field: "input.name", reason: "must be 1 to \(Self.longestName) letters, digits, '.', '_' and '-'")
        }
        guard name != model else { throw InputError(field: "input.name", reason: "is the model's own") }
        text = try fields.string("text")
        if text?.isEmpty == true { throw InputError(field: "input.text", reason: "must not be empty") }
    }

    /// A registered name that is also a file's, without a way out of its folder.
    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= longestName else { return false }
        func isPlain(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        return isPlain(first) && name.utf8.allSatisfy { isPlain($0) || [0x2E, 0x5F, 0x2D].contains($0) }
    }
}
