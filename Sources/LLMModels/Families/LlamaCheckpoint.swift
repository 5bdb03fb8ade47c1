// Checkpoints of Llama 1–3, SmolLM2, Mistral and others of that architecture.

enum LlamaCheckpoint: FamilyCheckpoint {
    static let tensors = TensorTable(
        prefixes: ["model.", ""], layerPrefix: "layers.",
        model: RotaryDecoder.model, layer: RotaryDecoder.norms + RotaryDecoder.attention + RotaryDecoder.feedForward)

    static func configuration(_ fields: ConfigurationFields) throws(ModelError) -> ModelConfiguration {
        let isMistral = try fields.string("model_type", nil) == "mistral"
        var configuration = try RotaryDecoder.configuration(
            fields, defaults: .init(keyValueHeadCount: isMistral ? 8 : nil))
        try RotaryDecoder.expectActivation(fields, key: "hidden_act", oneOf: ["silu", "swish"])
        if fields.ggufFile != nil {
            // The converter reorders the rows of Q and K for interleaved pairs.
            configuration.ropeStyle = .interleaved
        } else if !isMistral {
            let attentionBias = try fields.flag("attention_bias", nil, default: false)
            configuration.hasQueryKeyValueBias = attentionBias
            configuration.hasAttentionOutputBias = attentionBias
            configuration.hasFeedForwardBias = try fields.flag("mlp_bias", nil, default: false)
        }
        if isMistral || fields.ggufFile != nil {
            let window = try fields.optionalInteger(
                ConfigurationFields.key("sliding_window", "attention.sliding_window"), in: Bounds.window)
            if let window, window > 0 { configuration.windows = configuration.windows.map { _ in window } }
        }
        return configuration
    }
}
