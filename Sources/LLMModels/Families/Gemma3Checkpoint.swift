// Checkpoints of Gemma 3 (text): four norms per layer, norms over query and key heads, five layers with a window to one
// without, two rotary bases. The text part of a checkpoint that also has a vision tower is found under its own prefix.

enum Gemma3Checkpoint: FamilyCheckpoint {
    // GGUF files hold 1 + w of every norm, Hugging Face checkpoints w.
    static let tensors = TensorTable(
        prefixes: ["model.", "language_model.model.", "model.language_model.", ""], layerPrefix: "layers.",
        model: [
            .init(.tokenEmbedding, "embed_tokens.weight", "token_embd.weight"),
            .init(.outputNorm, "norm.weight", "output_norm.weight", huggingFaceIs: .onePlus),
            .init(.output, "lm_head.weight", "output.weight", if: .untiedOutput),
        ],
        layer: [
            .init(.attentionNorm, "input_layernorm.weight", "attn_norm.weight", huggingFaceIs: .onePlus),
            .init(
                .postAttentionNorm, "post_attention_layernorm.weight", "post_attention_norm.weight",
                huggingFaceIs: .onePlus),
            .init(.feedForwardNorm, "pre_feedforward_layernorm.weight", "ffn_norm.weight", huggingFaceIs: .onePlus),
            .init(
                .postFeedForwardNorm, "post_feedforward_layernorm.weight", "post_ffw_norm.weight",
                huggingFaceIs: .onePlus),
            .init(.queryNorm, "self_attn.q_norm.weight", "attn_q_norm.weight", huggingFaceIs: .onePlus),
            .init(.keyNorm, "self_attn.k_norm.weight", "attn_k_norm.weight", huggingFaceIs: .onePlus),
        ] + RotaryDecoder.attention + RotaryDecoder.feedForward)

    /// What `Gemma3TextConfig` assumes for keys that `config.json` leaves out, as Google's own files do.
    private static let defaults = RotaryDecoder.Defaults(
        headCount: 8, keyValueHeadCount: 4, headSize: 256, contextLength: 131_072, vocabularySize: 262_208,
        hiddenSize: 2_304, intermediateSize: 9_216, layerCount: 26, isOutputTied: true)

    static func configuration(_ fields: ConfigurationFields) throws(ModelError) -> ModelConfiguration {
        let isGGUF = fields.ggufFile != nil
        var configuration = try RotaryDecoder.configuration(fields, defaults: isGGUF ? .init() : defaults)
        try RotaryDecoder.expectActivation(fields, key: "hidden_activation", oneOf: ["gelu_pytorch_tanh"])
        try RotaryDecoder.expectActivation(fields, key: "hidden_act", oneOf: ["gelu_pytorch_tanh"])
        configuration.activation = .geluTanh
        configuration.embeddingScale = Float(Double(configuration.hiddenSize).squareRoot())
        configuration.attentionSoftcap = try softcap(fields, "attn_logit_softcapping")
        configuration.finalSoftcap = try softcap(fields, "final_logit_softcapping")
        configuration.attentionScale = Float(1 / (try queryScalar(fields, configuration)).squareRoot())
        if !isGGUF {
            let attentionBias = try fields.flag("attention_bias", nil, default: false)
            configuration.hasQueryKeyValueBias = attentionBias
            configuration.hasAttentionOutputBias = attentionBias
            if try fields.flag("use_bidirectional_attention", nil, default: false) {
                throw fields.unsupported(
                    ConfigurationFields.key("use_bidirectional_attention", nil), "an encoder, not a language model")
            }
        }
        configuration.rotary = try Rotary.parameters(fields, headSize: configuration.headSize, base: 1_000_000)
        configuration.windowRotary = try windowRotary(fields, configuration)
        configuration.windows = try windows(fields, configuration)
        return configuration
    }

    private static func softcap(_ fields: ConfigurationFields, _ key: String) throws(ModelError) -> Float? {
        try fields.optionalNumber(ConfigurationFields.key(key, key)).map { Float($0) }
    }

    /// Queries are divided by the root of this. GGUF files do not say it: it is the head size but in the 27B model, which
    /// is told by its 62 layers (as llama.cpp does).
    private static func queryScalar(
        _ fields: ConfigurationFields, _ configuration: ModelConfiguration
    ) throws(ModelError) -> Double {
        guard fields.ggufFile != nil else {
            return try fields.number("query_pre_attn_scalar", nil, default: 256)
        }
        let scalar =
            configuration.layerCount == 62
            ? configuration.hiddenSize / configuration.headCount : configuration.headSize
        return Double(scalar)
    }

    /// Layers with a window turn faster, and their frequencies are never stretched.
    private static func windowRotary(
        _ fields: ConfigurationFields, _ configuration: ModelConfiguration
    ) throws(ModelError) -> RotaryParameters {
        if fields.json("rope_parameters") != nil {
            return try Rotary.parameters(
                fields, headSize: configuration.headSize, layerType: "sliding_attention", base: 10_000)
        }
        let base = try fields.number("rope_local_base_freq", "rope.freq_base_swa", default: 10_000)
        return RotaryParameters(base: base, rotatedSize: configuration.rotary!.rotatedSize)
    }

    private static func windows(
        _ fields: ConfigurationFields, _ configuration: ModelConfiguration
    ) throws(ModelError) -> [Int?] {
        let window = try fields.integer(
            "sliding_window", "attention.sliding_window", in: Bounds.window,
            default: fields.ggufFile == nil ? 4_096 : nil)
        guard window > 0 else { return configuration.windows }
        // A GGUF file may list the layers, true for a window.
        if let list = fields.metadata("attention.sliding_window_pattern")?.arrayValue {
            guard let flags = list.bools, flags.count == configuration.layerCount else {
                throw fields.invalid(
                    ConfigurationFields.key(nil, "attention.sliding_window_pattern"),
                    "an array of \(configuration.layerCount) booleans is expected, one per layer")
            }
            return flags.map { $0 ? window : nil }
        }
        var pattern = try fields.integer(
            "sliding_window_pattern", "attention.sliding_window_pattern", in: Bounds.layers, default: 6)
        if let newer = try fields.optionalInteger(
            ConfigurationFields.key("_sliding_window_pattern", nil), in: Bounds.layers)
        {
            pattern = newer
        }
        return try RotaryDecoder.windows(
            fields, layers: configuration.layerCount, window: window, isWindowed: { ($0 + 1) % pattern != 0 })
    }
}
