// Where the continuation begins: as lm-eval-harness cuts it (scripts/goldens/scoring.py).
import Foundation
import LLMTokenizers
import Testing
import TokenizerGoldens

@testable import JobHandlers

@Suite struct ContinuationEncoderTests {
    private struct Golden: Decodable {
        struct Pair: Decodable {
            let prompt: String
            let continuation: String
            let tokens: [Int32]
            let first_scored: Int
        }
        let pairs: [Pair]
    }

    private func smolLM2() throws -> Tokenizer {
        try Tokenizer(
            tokenizerJSON: TokenizerGoldens.file("smollm2/tokenizer.json"),
            configurationJSON: TokenizerGoldens.file("smollm2/tokenizer_config.json"))
    }

    @Test func cutsWhereTheHarnessCuts() throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = tests.appending(path: "InferenceTests/Goldens/scoring.json")
        let pairs = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: file)).pairs
        #expect(pairs.count == 10)
        let tokenizer = try smolLM2()
        for pair in pairs {
            let found = ContinuationEncoder(pair.prompt, tokenizer: tokenizer).pair(pair.continuation)
            #expect(found == .init(tokens: pair.tokens, firstScored: pair.first_scored), "\(pair)")
        }
    }

    @Test func anEmptyPromptIsTheBeginOfText() throws {
        let tokenizer = try smolLM2()
        let begin = try #require(tokenizer.beginOfText)
        let text = tokenizer.encode(" Paris", addSpecialTokens: false)
        for prompt in ["", " "] {
            let pair = try #require(
                ContinuationEncoder(prompt, tokenizer: tokenizer).pair(prompt == "" ? " Paris" : "Paris"))
            #expect(pair.tokens == [begin] + text && pair.firstScored == 1)
        }
    }
}
