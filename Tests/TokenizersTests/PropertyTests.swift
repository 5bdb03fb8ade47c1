// What holds for every text.
import LLMTokenizers
import Testing

/// SplitMix64; tests print the seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func text(_ count: Int) -> String {
        var text = String.UnicodeScalarView()
        while text.count < count {
            let limit: UInt32 = [0x80, 0x800, 0x3100, 0x20000, 0x110000].randomElement(using: &self)!
            if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &self)) { text.append(scalar) }
        }
        return String(text)
    }
}

@Suite struct PropertyTests {
    @Test(arguments: byteFamilies) func roundTrip(_ family: String) throws {
        let tokenizer = try tokenizer(family)
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let text = random.text(Int.random(in: 0..<40, using: &random))
            let tokens = tokenizer.encode(text, addSpecialTokens: true)
            let decoded = tokenizer.decode(tokens, skipSpecialTokens: true)
            #expect(Array(decoded.utf8) == Array(text.utf8), "seed \(seed)")
            #expect(tokens.flatMap(tokenizer.bytes) == Array(text.utf8), "seed \(seed)")
        }
    }

    @Test(arguments: families) func streamingOfRandomTokens(_ family: String) throws {
        let tokenizer = try tokenizer(family)
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let limit = Int32(Bool.random(using: &random) ? 300 : tokenizer.vocabularySize + 5)
            let tokens = (0..<Int.random(in: 0..<20, using: &random)).map { _ in
                Int32.random(in: -2..<limit, using: &random)
            }
            var decoder = StreamingDecoder(tokenizer)
            var text = ""
            for token in tokens { text += decoder.append(token) }
            text += decoder.finish()
            let whole = tokenizer.decode(tokens, skipSpecialTokens: true)
            #expect(Array(text.utf8) == Array(whole.utf8), "seed \(seed)")
        }
    }

    /// Merging by a heap and merging by looking through all pairs give the same; long words take the former way.
    @Test(arguments: families) func longWordsEqualTheirShortParts(_ family: String) throws {
        let tokenizer = try tokenizer(family)
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        // Pieces of a byte-level vocabulary don't cross the end of a line followed by a letter.
        let lines = (0..<50).map { _ in (0..<20).map { _ in String("abcdeths".randomElement(using: &random)!) }.joined()
        }
        for line in lines {
            let long = tokenizer.encode(String(repeating: line, count: 6), addSpecialTokens: false)
            #expect(
                tokenizer.decode(long, skipSpecialTokens: true).filter { $0 != " " }
                    == String(repeating: line, count: 6), "seed \(seed)")
        }
    }

    @Test(.timeLimit(.minutes(2)), arguments: families) func megabytes(_ family: String) throws {
        let tokenizer = try tokenizer(family)
        let count = 1 << 20
        for unit in ["a", " ", "\n", "1", "'", "é", "\u{301}", "ab ", "<|im_", "<", "\u{2581}", " \n"] {
            let text = String(repeating: unit, count: count / unit.utf8.count)
            let tokens = tokenizer.encode(text, addSpecialTokens: false)
            #expect(!tokens.isEmpty && tokens.count <= count + 1)
        }
    }
}
