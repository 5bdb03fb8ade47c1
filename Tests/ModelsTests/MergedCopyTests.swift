// Merged models: what peft computes with the adapter, without it.
import Foundation
import LLMKernels
import Testing

@testable import LLMModels

@Suite struct MergedCopyTests {
    private static let team = ThreadTeam(threads: 2)

    @Test(arguments: GoldenAdapter.all, [TensorEncoding.float32, .float16])
    func mergedIsAdapted(golden: GoldenAdapter, encoding: TensorEncoding) throws {
        let base = try golden.model.open()
        let adapter = try openAdapter(golden.path, base: base)
        let folder = try TemporaryFolder()
        let path = folder.path + "/merged"
        try MergedCopy(of: base, with: adapter, as: encoding).write(to: path, team: Self.team)
        let merged = try openModel(path)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["merged"])
        #expect(try merged.configuration == base.configuration && merged.digest != base.digest)
        let harness = ForwardHarness(
            try LanguageModel(merged, precision: .reference, team: Self.team), team: Self.team)
        let (tokens, logits) = try golden.expectation()
        let found = harness.logits(of: tokens, at: Array(tokens.indices.suffix(logits.count)))
        // Changed weights are rounded to 11 bits with float16.
        let tolerance: Float = encoding == .float32 ? 2e-3 : 0.2
        for (a, b) in zip(found, logits) { #expect(greatestDifference(a, b) < tolerance) }
    }

    /// In a file whose matrices have four bits and interleaved heads.
    @Test func mergedIsAdaptedInSmolLM2() throws {
        let base = try openModel(try realModel("smollm2-135m-instruct"))
        var random = SeededGenerator(seed: 7)
        func numbers(_ count: Int) -> [Float] {
            (0..<count).map { _ in Float.random(in: -0.05...0.05, using: &random) }
        }
        let updates = (0..<base.configuration.layerCount).flatMap { layer in
            [LayerTensor.query, .key, .down].map { tensor in
                let shape = base.configuration.shape(.layer(layer, tensor))
                return LowRankUpdate(
                    layer: layer, tensor: tensor, rank: 4, a: numbers(4 * shape[1]), b: numbers(shape[0] * 4))
            }
        }
        let source = AdapterSource(path: "", digest: "", bytes: 1, updates: updates)
        let folder = try TemporaryFolder()
        try MergedCopy(of: base, with: source, as: .float32).write(to: folder.path + "/merged", team: Self.team)
        func logits(_ source: any ModelSource, _ adapter: LoRAAdapter?) throws -> [[Float]] {
            let model = try LanguageModel(source, precision: .reference, team: Self.team)
            let tokens = (0..<24).map { Int32($0 * 997 % 40_000 + 100) }
            return ForwardHarness(model, team: Self.team).logits(of: tokens, at: [5, 23], adapter: adapter)
        }
        let adapted = try logits(base, LoRAAdapter(source, for: base.configuration, precision: .reference))
        let merged = try logits(openModel(folder.path + "/merged"), nil)
        for (a, b) in zip(adapted, merged) { #expect(greatestDifference(a, b) < 2e-3) }
        #expect(greatestDifference(try logits(base, nil)[1], adapted[1]) > 0.1)
    }

    @Test(arguments: ["hf", "q8_0.gguf"])
    func whatCannotBeWrittenLeavesNothing(file: String) throws {
        let base = try GoldenModel(name: "llama", file: file).open()
        let count = base.configuration.hiddenSize
        let huge = LowRankUpdate(
            layer: 1, tensor: .down, rank: 1, a: Array(repeating: 1e3, count: base.configuration.intermediateSize),
            b: Array(repeating: 1e3, count: count))
        let source = AdapterSource(path: "", digest: "", bytes: 1, updates: [huge])
        let folder = try TemporaryFolder()
        let error = #expect(throws: ModelError.self) {
            try MergedCopy(of: base, with: source).write(to: folder.path + "/merged", team: Self.team)
        }
        #expect(error?.description.contains("beyond what F16 holds") == true, "\(String(describing: error))")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
}
