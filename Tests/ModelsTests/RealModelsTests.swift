// The two published models against transformers, and the served path against the reference.
import LLMKernels
import Testing

import LLMModels

@Suite(.serialized) struct RealModelsTests {
    private static func load(_ name: String, _ precision: ComputePrecision) throws -> LanguageModel {
        try LanguageModel(try openModel(try realModel(name)), precision: precision, team: GoldensTests.team)
    }

    /// Logarithms of the probabilities of tokens 1... of a text.
    private static func logProbabilities(_ model: LanguageModel, _ text: [Int32]) -> [Float] {
        let harness = ForwardHarness(model, team: GoldensTests.team)
        let rows = harness.logits(of: text, at: Array(text.indices.dropLast()))
        return zip(rows, text.dropFirst()).map { row, token in
            row[Int(token)] - row.withUnsafeBufferPointer { logSumExp($0) }
        }
    }

    @Test(arguments: ["smollm2-135m-instruct", "gemma3-270m"])
    func referenceIsTransformers(name: String) throws {
        let model = try Self.load(name, .reference)
        let (golden, rows) = try RealGolden.read(name, vocabulary: model.configuration.vocabularySize)
        let harness = ForwardHarness(model, team: GoldensTests.team, logitRows: 2)
        for (item, expected) in zip(golden.cases, rows) {
            #expect(harness.greedy(after: item.prompt, count: item.greedy.count) == item.greedy)
            for (row, golden) in zip(harness.logits(of: item.prompt + item.greedy, at: item.positions), expected) {
                let sparse = stride(
                    from: 0, to: row.count, by: model.configuration.vocabularySize / golden.sparse.count)
                let differences = [
                    greatestDifference(sparse.map { row[$0] }, golden.sparse),
                    greatestDifference(golden.topTokens.map { row[Int($0)] }, golden.topLogits),
                ]
                #expect(differences.max()! < 2e-3)
            }
        }
        let found = Self.logProbabilities(model, golden.text)
        let difference = greatestDifference(found, golden.log_probabilities)
        #expect(difference < 1e-3)
    }

    /// What serving costs in precision: the perplexity of a paragraph, and how far its tokens' probabilities move.
    @Test(arguments: ["smollm2-135m-instruct", "gemma3-270m"])
    func servedIsCloseToTransformers(name: String) throws {
        let model = try Self.load(name, .served)
        let golden = try RealGolden.read(name, vocabulary: model.configuration.vocabularySize).golden
        let found = Self.logProbabilities(model, golden.text)
        let differences = zip(found, golden.log_probabilities).map { $0 - $1 }
        let mean = differences.reduce(0, +) / Float(differences.count)
        let distance = differences.reduce(0) { $0 + abs($1) } / Float(differences.count)
        #expect(abs(mean) < 0.02 && distance < 0.08, "mean \(mean), mean distance \(distance)")
    }
}
