// Weights, tokenizer and digest read side by side are what they are one after another.
import LLMKernels
import LLMModels
import Testing

@Suite struct LoadedModelTests {
    private let team = ThreadTeam(threads: 2)

    @Test(arguments: ["gguf/llama.gguf", "hf/gemma3"]) func isWhatItsPartsAre(_ name: String) throws {
        let source = try openModel(GoldenFiles.path(name))
        let model = try LanguageModel(source, precision: .served, team: team)
        // Not every golden file has a vocabulary.
        guard let tokenizer = try? source.tokenizer() else {
            #expect(throws: ModelError.self) { try LoadedModel(source, precision: .served, team: team, digest: .any) }
            return
        }
        let digest = try source.digest
        for expected in [ExpectedDigest.any, .equal(digest), .unknown] {
            let loaded = try LoadedModel(source, precision: .served, team: team, digest: expected)
            #expect(loaded.digest == (expected == .unknown ? "" : digest))
            #expect(loaded.model.weightBytes == model.weightBytes)
            let text = "One, 2 <s> three"
            #expect(
                loaded.tokenizer.encode(text, addSpecialTokens: true) == tokenizer.encode(text, addSpecialTokens: true))
        }
    }

    /// A file that is not the one that was registered is told as that, also when its weights are broken.
    @Test func digestComesFirst() throws {
        let folder = try TemporaryFolder()
        let path = GoldenFiles.path("gguf/llama.gguf")
        let tensor = try #require(try GGUFFile(path)["output_norm.weight"])
        var bytes = try GoldenFiles.bytes("gguf/llama.gguf")
        bytes.replaceSubrange(tensor.offset..<tensor.offset + 4, with: [0, 0, 0xC0, 0x7F])
        let source = try openModel(try folder.write("broken.gguf", bytes))
        let expected = try openModel(path).digest
        let found = try source.digest
        #expect(
            throws: ModelError.invalidFile(
                path: source.path, field: "SHA-256", reason: "\(found), registered is \(expected)")
        ) {
            try LoadedModel(source, precision: .served, team: team, digest: .equal(expected))
        }
    }
}
