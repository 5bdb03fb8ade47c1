// Character classes and composition for every character, against the `tokenizers` library.
import JSON
import LLMTokenizers
import Testing
import TokenizerGoldens

@Suite struct UnicodeTests {
    private static func ranges(_ name: String, _ goldens: JSONValue) -> Set<UInt32> {
        let bounds = (goldens[name]?.arrayValue ?? []).compactMap { $0.intValue.map(UInt32.init) }
        var result: Set<UInt32> = []
        for place in stride(from: 0, to: bounds.count, by: 2) { result.formUnion(bounds[place]...bounds[place + 1]) }
        return result
    }

    @Test func classes() throws {
        let goldens = try JSONValue(parsing: TokenizerGoldens.file("classes.json"))
        let kinds: [(String, (UInt32) -> Bool)] = [
            ("letter", { CharacterClass.of($0) == .letter }), ("number", { CharacterClass.of($0) == .number }),
            ("space", { CharacterClass.of($0) == .space }), ("digit", CharacterClass.isDigit),
        ]
        for (name, isOfKind) in kinds {
            let expected = Self.ranges(name, goldens)
            #expect(!expected.isEmpty)
            let wrong = (UInt32(0)...0x10FFFF).filter { isOfKind($0) != expected.contains($0) }
            #expect(wrong.isEmpty, "\(name): \(wrong.prefix(10))")
        }
    }

    @Test func composition() throws {
        let goldens = try JSONValue(parsing: TokenizerGoldens.file("classes.json"))
        var changes: [UInt32: [UInt8]] = [:]
        for line in goldens["composed"]?.stringValue?.unicodeScalars.split(separator: "\n") ?? [] {
            let scalar = try #require(line.first)
            changes[scalar.value] = Array(String(String.UnicodeScalarView(line.dropFirst(2))).utf8)
        }
        let moving = Self.ranges("moves", goldens)
        #expect(changes.count > 1_000 && moving.count > 1_000)
        var wrong: [UInt32] = []
        for value in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let text = Array(UTF8.encode(scalar)!)
            if compose(text) != changes[value] ?? text { wrong.append(value) }
            guard value >= 0x300 else { continue }
            let around = [Array("a\u{305}".utf8) + text, [UInt8(ascii: "a")] + text + Array("\u{334}".utf8)]
            if around.contains(where: { compose($0) != $0 }) != moving.contains(value) { wrong.append(value) }
        }
        #expect(wrong.isEmpty, "\(wrong.count): \(wrong.prefix(10))")
    }

    private func compose(_ text: [UInt8]) -> [UInt8] {
        text.withUnsafeBufferPointer { CanonicalComposition.compose($0) }
    }
}
