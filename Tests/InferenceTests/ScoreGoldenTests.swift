// Scores and embeddings of the small models against what transformers computes (scripts/goldens/scoring.py).
import Foundation
import LLMKernels
import LLMModels
import Testing

@testable import LLMInference

@Suite struct ScoreGoldenTests {
    private struct Golden: Decodable {
        struct Text: Decodable {
            let tokens: [Int32]
            let logprobs: [Double]
            let greedy: [Bool]
            let mean: [Double]
            let last: [Double]
        }
        let models: [String: [Text]]
    }

    private static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

    private static func texts(_ model: String) throws -> [Golden.Text] {
        let url = try #require(Bundle.module.resourceURL).appending(path: "Goldens/scoring.json")
        return try #require(try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url)).models[model])
    }

    private static func model(_ name: String, _ file: String) throws -> ServedModel {
        let path = tests.appending(path: "ModelsTests/Goldens/models/\(name)/\(file)").path
        let model = try LanguageModel(openModel(path), precision: .reference, team: ThreadTeam(threads: 2))
        return ServedModel(model) { ToyDecoder() }
    }

    @Test(arguments: ["gpt2", "llama", "llama3", "qwen2", "qwen3", "gemma3"], ["hf", "q8_0.gguf"])
    func areThoseOfTransformers(name: String, file: String) throws {
        var harness = EngineHarness(model: try Self.model(name, file))
        harness.limits = EngineLimits(maximumSequences: 6, tokenBudget: 24, cacheBlocks: 60)
        let texts = try Self.texts(name)
        var requests: [any EngineRequest] = []
        for (index, text) in texts.enumerated() {
            let id = UInt64(index * 3)
            requests += [
                ScoreRequest(id: id, tokens: text.tokens, firstScored: 1),
                EmbeddingRequest(id: id + 1, tokens: text.tokens, pooling: .mean, normalizes: false),
                EmbeddingRequest(id: id + 2, tokens: text.tokens, pooling: .last, normalizes: false),
            ]
        }
        let results = try harness.run([requests]).results
        for (index, text) in texts.enumerated() {
            let score = try #require(results[UInt64(index * 3)]?.score)
            #expect(distance(score.tokens.map(\.logprob.logprob), text.logprobs) < 2e-3)
            #expect(score.tokens.map(\.isGreedy) == text.greedy)
            #expect(abs(score.logprob - text.logprobs.reduce(0, +)) < 2e-3)
            for (place, expected) in [text.mean, text.last].enumerated() {
                let vector = try #require(results[UInt64(index * 3 + 1 + place)]?.embedding).vector
                #expect(distance(vector, expected) < 1e-3 * max(1, expected.map(abs).max()!))
                #expect(cosine(vector, expected) > 1 - 1e-8)
            }
        }
    }

    private func distance(_ a: [Float], _ b: [Double]) -> Double {
        a.count == b.count ? zip(a, b).map { abs(Double($0) - $1) }.max() ?? 0 : .infinity
    }

    private func cosine(_ a: [Float], _ b: [Double]) -> Double {
        let (aa, bb) = (a.reduce(0) { $0 + Double($1) * Double($1) }, b.reduce(0) { $0 + $1 * $1 })
        return zip(a, b).reduce(0) { $0 + Double($1.0) * $1.1 } / (aa * bb).squareRoot()
    }
}
