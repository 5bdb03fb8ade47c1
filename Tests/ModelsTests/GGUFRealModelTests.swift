// The two models that a machine without a hub can fetch; see docs. Their folder is in MILLRACE_MODELS.
import Foundation
import LLMModels
import Testing

/// A model fetched by scripts/bootstrap. Fails, rather than skips, where it is missing.
func realModel(_ name: String) throws -> String {
    let folder = try #require(
        ProcessInfo.processInfo.environment["MILLRACE_MODELS"], "MILLRACE_MODELS does not name the folder with models")
    let path = folder + "/" + name + ".gguf"
    try #require(MappedFile.exists(path), "\(path) is missing")
    return path
}

@Suite struct GGUFRealModelTests {
    @Test func smolLM2() throws {
        let model = try openModel(try realModel("smollm2-135m-instruct"))
        let configuration = model.configuration
        #expect(configuration.architecture == .llama)
        #expect(configuration.vocabularySize == 49_152)
        #expect(configuration.contextLength == 8_192)
        #expect(configuration.hiddenSize == 576 && configuration.intermediateSize == 1_536)
        #expect(configuration.headCount == 9 && configuration.keyValueHeadCount == 3)
        #expect(configuration.headSize == 64)
        #expect(configuration.rotary == RotaryParameters(base: 100_000, rotatedSize: 64))
        #expect(configuration.ropeStyle == .interleaved)
        #expect(configuration.isOutputTied && !configuration.hasQueryKeyValueBias)
        #expect(configuration.windows.allSatisfy { $0 == nil })
        #expect(configuration.beginOfText == 1 && configuration.endOfText == [2])
        #expect(model.chatTemplate?.hasPrefix("{% for message in messages %}") == true)
        #expect(try model.digest == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")
        let query = try model.tensor(.layer(29, .query))
        #expect(query.shape == [576, 576] && query.encoding == .q4_1 && query.exactForm == .int4)
        #expect(try model.optionalTensor(.layer(0, .queryBias))?.name == nil)
        #expect(throws: ModelError.missingTensor(path: model.path, name: "blk.30.attn_q.weight")) {
            try model.tensor(.layer(30, .query))
        }
    }

    @Test func gemma3() throws {
        let model = try openModel(try realModel("gemma3-270m"))
        let configuration = model.configuration
        #expect(configuration.architecture == .gemma3)
        #expect(configuration.vocabularySize == 262_144)
        #expect(configuration.hiddenSize == 640 && configuration.intermediateSize == 2_048)
        #expect(configuration.headCount == 4 && configuration.keyValueHeadCount == 1)
        #expect(configuration.headSize == 256)
        #expect(configuration.rotary == RotaryParameters(base: 1_000_000, rotatedSize: 256))
        #expect(configuration.windowRotary == RotaryParameters(base: 10_000, rotatedSize: 256))
        #expect(configuration.ropeStyle == .halves)
        let full = configuration.windows.indices.filter { configuration.windows[$0] == nil }
        #expect(full == [5, 11, 17] && configuration.windows[0] == 512)
        #expect(configuration.attentionScale == 0.0625)
        #expect(configuration.normEpsilon == 1e-6)
        #expect(configuration.endOfText.first == 1 && configuration.beginOfText == 2)
        // Norms are stored as they multiply.
        let norm = try model.tensor(.layer(0, .attentionNorm)).floats()
        #expect(norm.count == 640 && norm.allSatisfy { $0 > 0 })
        #expect(try model.tensor(.layer(0, .down)).exactForm == ExactForm.none)
    }
}
