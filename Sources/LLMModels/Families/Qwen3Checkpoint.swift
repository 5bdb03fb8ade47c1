// Checkpoints of Qwen3 (dense): Qwen2 with norms over query and key heads instead of biases.

enum Qwen3Checkpoint: FamilyCheckpoint {
    static let tensors = TensorTable(
        prefixes: ["model.", ""], layerPrefix: "layers.",
        model: RotaryDecoder.model,
        layer: RotaryDecoder.norms + RotaryDecoder.attention + RotaryDecoder.headNorms + RotaryDecoder.feedForward)

    static func configuration(_ fields: ConfigurationFields) throws(ModelError) -> ModelConfiguration {
        var configuration = try RotaryDecoder.configuration(
            fields, defaults: .init(headSize: fields.ggufFile == nil ? 128 : nil))
        try RotaryDecoder.expectActivation(fields, key: "hidden_act", oneOf: ["silu"])
        if fields.ggufFile == nil {
            let attentionBias = try fields.flag("attention_bias", nil, default: false)
            configuration.hasQueryKeyValueBias = attentionBias
            configuration.hasAttentionOutputBias = attentionBias
        }
        try QwenWindows.read(fields, into: &configuration)
        return configuration
    }
}
