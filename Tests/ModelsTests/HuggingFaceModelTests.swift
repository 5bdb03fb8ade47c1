// The same weights in both formats must come out the same, and configurations as transformers understands them.
import Foundation
import JSON
import LLMModels
import Testing

@Suite struct HuggingFaceModelTests {
    /// One model, written by save_pretrained and by the gguf package.
    @Test(arguments: Architecture.allCases)
    func bothFormatsGiveTheSameWeights(_ architecture: Architecture) throws {
        let folder = try openModel(GoldenFiles.path("hf/\(architecture.rawValue)"))
        let file = try openModel(GoldenFiles.path("gguf/\(architecture.rawValue).gguf"))
        #expect(folder.architecture == architecture && file.architecture == architecture)
        let names = folder.configuration.requiredTensors
        #expect(names == file.configuration.requiredTensors)
        for name in names {
            let (a, b) = (try folder.tensor(name), try file.tensor(name))
            #expect(a.shape == b.shape)
            guard case .layer(_, let tensor) = name, architecture == .llama, tensor == .query || tensor == .key else {
                #expect(GoldenFiles.bits(a) == GoldenFiles.bits(b), "\(a.name)")
                continue
            }
            // Halves to interleaved pairs, head by head.
            let half = folder.configuration.headSize / 2
            let (rows, stored) = (a.floats(), b.floats())
            for row in 0..<a.rows {
                let (head, place) = (row / (2 * half), row % (2 * half))
                let from = head * 2 * half + place % 2 * half + place / 2
                #expect(
                    stored[row * a.columns..<(row + 1) * a.columns] == rows[from * a.columns..<(from + 1) * a.columns])
            }
        }
    }

    @Test(arguments: Architecture.allCases)
    func bothFormatsGiveTheSameConfiguration(_ architecture: Architecture) throws {
        var folder = try openModel(GoldenFiles.path("hf/\(architecture.rawValue)")).configuration
        var file = try openModel(GoldenFiles.path("gguf/\(architecture.rawValue).gguf")).configuration
        #expect(folder.ropeStyle == .halves)
        #expect(file.ropeStyle == (architecture == .llama ? .interleaved : .halves))
        if let a = folder.rotary?.frequencies, let b = file.rotary?.frequencies {
            // Llama's scaling is a formula here and a tensor of 32-bit floats there.
            for (a, b) in zip(a, b) { #expect(abs(a - b) <= 1e-6 * a) }
        }
        // GGUF files do not know the scale of Gemma's queries, and their vocabulary tells the ends of turns.
        if architecture == .gemma3 {
            #expect(folder.attentionScale == Float(1 / 24.0.squareRoot()) && file.attentionScale == 0.25)
        }
        #expect(file.endOfText == [2, 63])
        #expect(folder.endOfText == (architecture == .llama ? [7, 2] : [2]))
        for keyPath in [\ModelConfiguration.rotary, \.windowRotary] {
            folder[keyPath: keyPath] = file[keyPath: keyPath]
        }
        folder.ropeStyle = file.ropeStyle
        folder.attentionScale = file.attentionScale
        folder.endOfText = file.endOfText
        #expect(folder == file)
        file.windows = []
        #expect(folder != file)
    }

    @Test func chatTemplates() throws {
        #expect(try openModel(GoldenFiles.path("hf/llama")).chatTemplate == "{{ x }}")
        #expect(try openModel(GoldenFiles.path("hf/qwen2")).chatTemplate == "{{ messages }}\n")
        #expect(try openModel(GoldenFiles.path("hf/gpt2")).chatTemplate == "plain")
        #expect(try openModel(GoldenFiles.path("hf/qwen3")).chatTemplate == nil)
    }

    @Test func digestOfAFolderCoversWhatDefinesTheModel() throws {
        let folder = try TemporaryFolder()
        try folder.copy(golden: "hf/gpt2")
        let digest = try openModel(folder.path).digest
        #expect(digest == (try openModel(GoldenFiles.path("hf/gpt2")).digest))
        #expect(digest.count == 64)
        try folder.write("README.md", Array("no part of the model".utf8))
        #expect(try openModel(folder.path).digest == digest)
        try folder.write("tokenizer_config.json", Array(#"{"chat_template": "other"}"#.utf8))
        #expect(try openModel(folder.path).digest != digest)
    }

    // MARK: Configurations

    private static let configurations = [
        "llama3-old", "llama-linear", "mistral-old", "qwen2-window", "gemma3-4b-old",
    ]

    @Test(arguments: configurations)
    func configurationsMeanWhatTransformersMakesOfThem(_ name: String) throws {
        let table = try JSONValue(parsing: try GoldenFiles.bytes("configs/expected.json"))
        let expected = try #require(table[name])
        let configuration = try self.configuration(try GoldenFiles.bytes("configs/\(name).json"))
        let integers = [
            "vocabulary": configuration.vocabularySize, "hidden": configuration.hiddenSize,
            "layers": configuration.layerCount, "heads": configuration.headCount,
            "key_value_heads": configuration.keyValueHeadCount, "head_size": configuration.headSize,
            "intermediate": configuration.intermediateSize, "context": configuration.contextLength,
        ]
        for (key, value) in integers { #expect(expected[key]?.intValue == value, "\(key)") }
        #expect(expected["epsilon"]?.doubleValue.map { Float($0) } == configuration.normEpsilon)
        #expect(expected["tied"]?.boolValue == configuration.isOutputTied)
        #expect(expected["windows"]?.arrayValue?.map(\.intValue) == configuration.windows)
        for (key, rotary) in [
            ("frequencies", configuration.rotary), ("window_frequencies", configuration.windowRotary),
        ] {
            let reference = try #require(expected[key]?.arrayValue).compactMap(\.doubleValue)
            let frequencies = try #require(rotary?.frequencies)
            try #require(reference.count == frequencies.count)
            // transformers computes scaled frequencies in float32.
            for (a, b) in zip(frequencies, reference) { #expect(abs(a - b) <= 1e-6 * b, "\(key)") }
        }
    }

    /// What is refused, and how the message names it.
    @Test(arguments: [
        (#""model_type": "bert""#, "model_type", "\"bert\" is not supported"),
        (#""hidden_act": "gelu""#, "hidden_act", "activation \"gelu\" is not supported"),
        (#""hidden_size": 0"#, "hidden_size", "0 is not in 1..."),
        (#""hidden_size": "x""#, "hidden_size", "an integer is expected"),
        (#""hidden_size": null"#, "hidden_size", "the key is missing"),
        (#""num_key_value_heads": 3"#, "head count", "cannot share 3"),
        (#""head_dim": 15"#, "head size", "15 is odd"),
        (#""num_hidden_layers": 99999999999"#, "num_hidden_layers", "is not in"),
        (#""rms_norm_eps": -1"#, "rms_norm_eps", "a positive number is expected"),
        (#""rope_scaling": {"rope_type": "yarn", "factor": 4}"#, "rope_scaling", "\"yarn\" is not supported"),
        (#""rope_scaling": {"rope_type": "linear"}"#, "rope_scaling", "factor is missing"),
        (#""rope_scaling": 7"#, "rope_scaling", "an object is expected"),
        (#""rope_parameters": {"rope_theta": 0}"#, "rope_parameters", "rope_theta"),
        (#""partial_rotary_factor": 0.5"#, "rope_scaling", "partial_rotary_factor 0.5"),
        (#""quantization_config": {"bits": 4}"#, "quantization_config", "not supported"),
    ])
    func refusesWhatItCannotRun(_ change: String, _ field: String, _ reason: String) throws {
        let base = #"""
            {"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 48,
            "hidden_act": "silu", "max_position_embeddings": 24, "rms_norm_eps": 1e-6,
            """# + change + "}"
        let message = try self.message(Array(base.utf8))
        #expect(message.contains(field) && message.contains(reason), "\(message)")
    }

    private func configuration(_ bytes: [UInt8]) throws -> ModelConfiguration {
        try ModelConfiguration(huggingFace: JSONValue(parsing: bytes), path: "config.json")
    }

    private func message(_ bytes: [UInt8]) throws -> String {
        do {
            let configuration = try configuration(bytes)
            Issue.record("accepted as \(configuration)")
            return ""
        } catch let error as ModelError { return error.description }
    }

    // MARK: Folders

    @Test func missingPiecesAreNamed() throws {
        let folder = try TemporaryFolder()
        #expect(throws: ModelError.unreadable(path: folder.path, reason: "the folder has no config.json")) {
            try openModel(folder.path)
        }
        try folder.write("config.json", try GoldenFiles.bytes("hf/qwen3/config.json"))
        #expect(
            throws: ModelError.unreadable(
                path: folder.path,
                reason: "the folder has no model.safetensors and no model.safetensors.index.json")
        ) { try openModel(folder.path) }
        // Weights of another model.
        try folder.write("model.safetensors", try GoldenFiles.bytes("hf/qwen2/model.safetensors"))
        #expect(throws: ModelError.self) { try openModel(folder.path) }
        try folder.write("model.safetensors", try GoldenFiles.bytes("hf/qwen3/model.safetensors"))
        _ = try openModel(folder.path)
        let config = String(decoding: try GoldenFiles.bytes("hf/qwen3/config.json"), as: UTF8.self)
        let wider = config.replacingOccurrences(of: #""intermediate_size": 48"#, with: #""intermediate_size": 49"#)
        try folder.write("config.json", Array(wider.utf8))
        #expect(
            throws: ModelError.wrongShape(
                path: folder.path + "/model.safetensors", name: "model.layers.0.mlp.gate_proj.weight", found: [48, 32],
                expected: [49, 32])
        ) { try openModel(folder.path) }
    }

    @Test(arguments: ["../hf/model.safetensors", "", "..", "/etc/passwd", "a\\u0000"])
    func shardsStayInTheirFolder(_ name: String) throws {
        let folder = try TemporaryFolder()
        try folder.copy(golden: "hf/llama")
        try folder.write("model.safetensors.index.json", Array(#"{"weight_map": {"x": "\#(name)"}}"#.utf8))
        do {
            _ = try openModel(folder.path)
            Issue.record("accepted")
        } catch {
            #expect("\(error)".contains("is no name of a file in this folder"))
        }
    }
}
