// Which tokens may come next.
import Foundation
import JSON
import Testing

@testable import LLMConstraints

@Suite struct MaskTests {
    /// Of the sorted ids, as the generator of the goldens computes it.
    private func hash(_ tokens: [Int32]) -> String {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for token in tokens {
            for shift: Int32 in [0, 8, 16, 24] { value = (value ^ UInt64(token >> shift & 0xFF)) &* 0x100_0000_01B3 }
        }
        return String(repeating: "0", count: value.leadingZeroBitCount / 4) + String(value, radix: 16)
    }

    @Test func masksAgreeWithXGrammarOnSmolLM2() throws {
        let vocabulary = try Vocabulary.smolLM2.get()
        var states = 0
        for entry in try Goldens.entries("masks") {
            let source = try #require(entry["source"]?.stringValue)
            let constraint = try TokenConstraint(
                entry["kind"] == "regex" ? .regex(source) : .grammar(source), vocabulary: vocabulary)
            for state in entry["states"]?.arrayValue ?? [] {
                states += 1
                let prefix = try #require(state["prefix"]?.stringValue)
                let note: Comment = "\(source.prefix(40)) after \(prefix.debugDescription)"
                var walk = Walk(constraint)
                for byte in prefix.utf8 {
                    let token = vocabulary.tokens[Int(vocabulary.tokenOffsets[vocabulary.child(of: 0, byte)!])]
                    let isTaken = walk.take(token)
                    #expect(isTaken, note)
                }
                let tokens = walk.allowed(remaining: .max)
                #expect(walk.matcher.isSatisfied == (state["end"] == true), note)
                #expect(tokens.count == state["count"]?.intValue, note)
                #expect(hash(tokens) == state["hash"]?.stringValue, note)
                if let known = state["tokens"]?.arrayValue {
                    #expect(tokens == known.map { Int32($0.intValue!) }, note)
                }
            }
        }
        print("\(states) states")
        #expect(states > 50)
    }

    /// By trying every token on a copy of the answer.
    @Test func masksAreThoseOfTryingEveryToken() throws {
        var random = TestRandom()
        print("masks: seed \(random.seed)")
        let spellings: [[UInt8]] =
            (0..<256).map { [UInt8($0)] }
            + [
                "\"", "\",", "\": ", "{\"", "}}", "]}", "[[", "true", " \"", "ab", "abc", "a\"b", "\\n", "12", "0.",
                "é", "€", ", \"", "\"}",
            ]
            .map { Array($0.utf8) } + [[0xC3, 0xA9, 0x22], [0xE2, 0x82], [0x82, 0xAC], [0xAC, 0x22, 0x7D]]
        let vocabulary = Vocabulary(spellings: spellings + [[]])
        for source in try Self.sources() {
            let constraint = try TokenConstraint(source, vocabulary: vocabulary)
            for _ in 0..<6 {
                var walk = Walk(constraint)
                let limit = constraint.minimumTokens + random.int(0...30)
                for count in 0..<limit where !walk.matcher.isComplete {
                    let remaining = limit - count
                    let allowed = walk.allowed(remaining: remaining)
                    let tried = (0..<Int32(spellings.count)).filter { token in
                        var copy = Walk(constraint)
                        for earlier in walk.tokens { _ = copy.take(earlier) }
                        return copy.take(token) && copy.matcher.neededTokens <= remaining - 1
                    }
                    #expect(allowed == tried, "seed \(random.seed), \(source), \(walk.text), \(remaining) left")
                    guard let token = allowed.isEmpty ? nil : random.pick(allowed) else { break }
                    _ = walk.take(token)
                }
            }
        }
    }

    /// The promise: whatever is chosen, the answer is valid, however few tokens there are.
    @Test func randomWalksEndInTextThatIsAccepted() throws {
        var random = TestRandom()
        print("walks: seed \(random.seed)")
        let vocabulary = try Vocabulary.smolLM2.get()
        var lengths: [Int] = []
        for source in try Self.sources() {
            let constraint = try TokenConstraint(source, vocabulary: vocabulary)
            let judge = try TextJudge(source)
            for more in [0, 0, 1, 2, 5, 20, 60] {
                var walk = Walk(constraint)
                let isFinished = walk.finishAtRandom(within: constraint.minimumTokens + more, &random)
                let note: Comment = "seed \(random.seed), \(source), \(more) more: \(walk.text.debugDescription)"
                #expect(isFinished, note)
                #expect(judge.accepts(walk.text), note)
                switch source {
                case .jsonSchema, .jsonObject:
                    #expect(throws: Never.self, note) {
                        try JSONSerialization.jsonObject(with: Data(walk.bytes), options: .fragmentsAllowed)
                    }
                default: break
                }
                lengths.append(walk.tokens.count)
            }
        }
        print("\(lengths.count) walks, \(lengths.reduce(0, +)) tokens")
    }

    @Test func replayedTokensGiveTheSameMasks() throws {
        var random = TestRandom()
        print("replay: seed \(random.seed)")
        let constraint = try TokenConstraint(.jsonObject, vocabulary: try Vocabulary.smolLM2.get())
        var walk = Walk(constraint)
        for count in 0..<80 where !walk.matcher.isComplete {
            let allowed = walk.allowed(remaining: 100 - count)
            if allowed.isEmpty { break }
            _ = walk.take(random.pick(allowed))
            var replayed = Walk(try TokenConstraint(.jsonObject, vocabulary: constraint.vocabulary))
            if count % 16 == 15 {
                let areTaken = walk.tokens.allSatisfy { replayed.take($0) }
                let masks = (replayed.allowed(remaining: 99 - count), walk.allowed(remaining: 99 - count))
                #expect(areTaken && masks.0 == masks.1)
            }
        }
    }

    @Test func textsLoseTheSpaceOfTheFirstToken() throws {
        let vocabulary = Vocabulary(spellings: [" a", "a", " ", "b"].map { Array($0.utf8) }, stripsFirstSpace: true)
        var walk = Walk(try TokenConstraint(.regex("[ ab]+"), vocabulary: vocabulary))
        let first = walk.allowed(remaining: 5)
        let isTaken = walk.take(1)
        let second = walk.allowed(remaining: 5)
        #expect(first == [1, 3] && isTaken && second == [0, 1, 2, 3])
    }

    static func sources() throws -> [ConstraintSource] {
        var sources: [ConstraintSource] = [
            .jsonObject, .choice(["yes", "no", "perhaps not"]), .regex("(\\d{1,3}\\.){3}\\d{1,3}"),
            .regex("[^\"\\\\]{3,5}(foo|bar)+"), .regex("[α-ω]+!"),
            .grammar("root ::= \"(\" root \")\" | \"x\" root | \"y\""),
            .grammar("root ::= s | t\ns ::= \"a\" s \"b\" | \"ab\"\nt ::= \"a\" t \"bb\" | \"abb\""),
        ]
        for entry in try Goldens.entries("schemas") {
            sources.append(.jsonSchema(try JSONValue(parsing: try #require(entry["schema"]?.stringValue))))
        }
        return sources
    }
}
