// What the `tokenizers` library makes of the golden texts; see scripts/goldens/tokenizers.py. Used by the tests of the
// tokenizers and, with the vocabularies of real files, by those of the model files.
import Foundation
import JSON
import LLMTokenizers

package struct TokenizerGoldens: Sendable {
    package struct Random: Sendable {
        package let tokens: [Int32]
        package let text: String
        package let textWithoutSpecialTokens: String
    }

    package let texts: [String]
    /// Indices into `texts` of the texts that have expectations.
    package let indices: [Int]
    /// With special tokens added and parsed; one entry for each of `indices`.
    package let encoded: [[Int32]]
    /// Without parsing special tokens, where that makes a difference.
    package let plain: [Int: [Int32]]
    /// Decoded texts that differ from the text that was encoded, with special tokens and without.
    package let decoded: [Int: String]
    package let skipped: [Int: String]
    package let random: [Random]

    /// - Parameter name: a file in the folder of goldens, without `.json`.
    package init(_ name: String) throws {
        let lines = try Self.file("strings.jsonl").split(separator: UInt8(ascii: "\n"))
        texts = try lines.map { try JSONValue(parsing: $0).stringValue ?? "" }
        let value = try JSONValue(parsing: try Self.file(name + ".json"))
        indices = Array(stride(from: 0, to: texts.count, by: value["step"]?.intValue ?? 1))
        encoded = (value["encode"]?.arrayValue ?? []).map(Self.tokens)
        func members<T>(_ key: String, _ convert: (JSONValue) -> T) -> [Int: T] {
            var result: [Int: T] = [:]
            for (index, entry) in value[key]?.objectValue ?? [:] { result[Int(index) ?? -1] = convert(entry) }
            return result
        }
        plain = members("plain", Self.tokens)
        decoded = members("decode") { $0.stringValue ?? "" }
        skipped = members("skipped") { $0.stringValue ?? "" }
        random = (value["random"]?.arrayValue ?? []).map { entry in
            let parts = entry.arrayValue ?? []
            return Random(
                tokens: Self.tokens(parts[0]), text: parts[1].stringValue ?? "",
                textWithoutSpecialTokens: parts[2].stringValue ?? "")
        }
    }

    package static func file(_ name: String) throws -> [UInt8] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return Array(try Data(contentsOf: tests.appendingPathComponent("TokenizersTests/Goldens/" + name)))
    }

    /// What the tokenizer makes otherwise than the library, one line each.
    package func differences(_ tokenizer: Tokenizer) -> [String] {
        var differences: [String] = []
        func compare<T: Equatable>(_ what: String, _ index: Int, _ found: T, _ expected: T) {
            if found != expected {
                differences.append("\(what) \(index) \(texts[index].debugDescription): \(found) != \(expected)")
            }
        }
        if encoded.count != indices.count { differences.append("\(encoded.count) expectations") }
        for (index, tokens) in zip(indices, encoded) {
            let text = texts[index]
            compare("encode", index, tokenizer.encode(text, addSpecialTokens: true), tokens)
            compare(
                "plain", index, tokenizer.encode(text, addSpecialTokens: true, parseSpecialTokens: false),
                plain[index] ?? tokens)
            let decoded = Scalars(tokenizer.decode(tokens, skipSpecialTokens: false))
            compare("decode", index, decoded, Scalars(self.decoded[index] ?? text))
            let skipped = Scalars(tokenizer.decode(tokens, skipSpecialTokens: true))
            compare("skipped", index, skipped, Scalars(self.skipped[index] ?? text))
        }
        for entry in random {
            let found = [false, true].map { tokenizer.decode(entry.tokens, skipSpecialTokens: $0) }
            if found.map(Scalars.init) != [entry.text, entry.textWithoutSpecialTokens].map(Scalars.init) {
                differences.append("decode \(entry.tokens): \(found) != \(entry)")
            }
        }
        return differences
    }

    private static func tokens(_ value: JSONValue) -> [Int32] {
        (value.arrayValue ?? []).compactMap { $0.intValue.flatMap(Int32.init(exactly:)) }
    }
}

/// A text compared by its characters: strings also count as equal that are only canonically equivalent.
private struct Scalars: Equatable, CustomStringConvertible {
    let description: String

    init(_ text: String) { description = text.debugDescription + " \(Array(text.utf8))" }
}
