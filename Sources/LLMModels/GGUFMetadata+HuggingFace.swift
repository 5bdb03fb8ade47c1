// What a GGUF file says of a model that comes from a Hugging Face folder. The families' checkpoints read the same keys.
import LLMTokenizers

extension GGUFMetadata {
    /// - Throws: `unsupported` for what the keys can't say, so that nobody reads another model than was meant.
    init(_ model: HuggingFaceModel) throws(ModelError) {
        self.init()
        let configuration = model.configuration
        if let (field, reason) = Self.unsaid(configuration) {
            throw .unsupported(path: model.path + "/config.json", field: "key \"\(field)\"", reason: reason)
        }
        set("general.architecture", .string(configuration.architecture.rawValue))
        set("general.type", .string("model"))
        set("general.name", .string(model.path.split(separator: "/").last.map(String.init) ?? model.path))
        setShape(configuration)
        setPositions(configuration)
        try setVocabulary(model)
        if let template = model.chatTemplate { set("tokenizer.chat_template", .string(template)) }
    }

    /// A key of config.json with a value that no GGUF key stands for.
    private static func unsaid(_ configuration: ModelConfiguration) -> (field: String, reason: String)? {
        let usual = Float(1 / Double(configuration.headSize).squareRoot())
        let isWindowed = configuration.windows.contains { $0 != nil }
        switch configuration.architecture {
        case .gpt2 where configuration.attentionScale != usual:
            return ("scale_attn_weights", "false has no place in a GGUF file")
        case .gemma3:
            // As the families' readers conclude it from the number of layers.
            let scalar = Double(
                configuration.layerCount == 62
                    ? configuration.hiddenSize / configuration.headCount : configuration.headSize)
            if configuration.attentionScale != Float(1 / scalar.squareRoot()) {
                return ("query_pre_attn_scalar", "readers of a GGUF file take it for \(scalar)")
            }
            if configuration.windowRotary?.scaling != RotaryScaling.none {
                return ("rope_parameters", "scaled positions of layers with a window have no place in a GGUF file")
            }
        case .qwen2 where isWindowed, .qwen3 where isWindowed:
            return ("use_sliding_window", "true has no place in a GGUF file")
        default: break
        }
        if case .llama3 = configuration.rotary?.scaling, configuration.architecture != .llama {
            return ("rope_scaling", "readers of a GGUF file know llama3 for llama models alone")
        }
        return nil
    }

    private mutating func setShape(_ configuration: ModelConfiguration) {
        let prefix = configuration.architecture.rawValue + "."
        func integer(_ key: String, _ value: Int) { set(prefix + key, .uint32(UInt32(value))) }
        integer("context_length", configuration.contextLength)
        integer("embedding_length", configuration.hiddenSize)
        integer("block_count", configuration.layerCount)
        integer("feed_forward_length", configuration.intermediateSize)
        integer("attention.head_count", configuration.headCount)
        integer("attention.head_count_kv", configuration.keyValueHeadCount)
        integer("attention.key_length", configuration.headSize)
        integer("attention.value_length", configuration.headSize)
        let norm = configuration.architecture == .gpt2 ? "layer_norm_epsilon" : "layer_norm_rms_epsilon"
        set(prefix + "attention." + norm, .float32(configuration.normEpsilon))
        if let cap = configuration.attentionSoftcap { set(prefix + "attn_logit_softcapping", .float32(cap)) }
        if let cap = configuration.finalSoftcap { set(prefix + "final_logit_softcapping", .float32(cap)) }
    }

    /// Rotary positions and windows.
    private mutating func setPositions(_ configuration: ModelConfiguration) {
        let prefix = configuration.architecture.rawValue + "."
        if let rotary = configuration.rotary {
            set(prefix + "rope.dimension_count", .uint32(UInt32(rotary.rotatedSize)))
            set(prefix + "rope.freq_base", .float32(Float(rotary.base)))
            if case .linear(let factor) = rotary.scaling {
                set(prefix + "rope.scaling.type", .string("linear"))
                set(prefix + "rope.scaling.factor", .float32(Float(factor)))
            }
        }
        guard let window = configuration.windows.compactMap(\.self).first else { return }
        set(prefix + "attention.sliding_window", .uint32(UInt32(window)))
        guard configuration.architecture == .gemma3 else { return }
        set(prefix + "rope.freq_base_swa", .float32(Float(configuration.windowRotary!.base)))
        let flags = configuration.windows.map { $0 != nil }
        // Five layers with a window to one without is what readers assume.
        if flags != flags.indices.map({ ($0 + 1) % 6 != 0 }) {
            set(prefix + "attention.sliding_window_pattern", .array(GGUFArray(flags)))
        }
    }

    private mutating func setVocabulary(_ model: HuggingFaceModel) throws(ModelError) {
        let path = model.path + "/tokenizer.json"
        let (tokenizer, rows) = (try model.tokenizer(), model.configuration.vocabularySize)
        var vocabulary: VocabularyDescription
        do throws(TokenizerError) { vocabulary = try VocabularyDescription(tokenizer) } catch {
            throw .unsupported(path: path, field: "vocabulary", reason: error.description)
        }
        guard vocabulary.tokens.count <= rows else {
            throw .invalidFile(
                path: path, field: "vocabulary",
                reason: "\(vocabulary.tokens.count) tokens for \(rows) rows of the embedding")
        }
        vocabulary.pad(to: rows)
        vocabulary.beginOfText = vocabulary.beginOfText ?? model.configuration.beginOfText
        let ends = model.configuration.endOfText
        vocabulary.endOfText = vocabulary.endOfText ?? ends.first
        set(vocabulary)
        // Readers find the usual ends of a turn by their texts.
        let others = ends.filter { $0 != vocabulary.endOfText && !GGUFFile.endsTurn(vocabulary.tokens[Int($0)]) }
        guard others.count <= 2 else {
            throw .unsupported(
                path: model.path, field: "key \"eos_token_id\"", reason: "more than three tokens that end a text")
        }
        for (name, id) in zip(["eot", "eom"], others) { set("tokenizer.ggml.\(name)_token_id", .uint32(UInt32(id))) }
    }
}
