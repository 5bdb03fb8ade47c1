// Checkpoints of Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.

enum Qwen2Checkpoint: FamilyCheckpoint {
    static let tensors = TensorTable(
        prefixes: ["model.", ""], layerPrefix: "layers.",
        model: RotaryDecoder.model, layer: RotaryDecoder.norms + RotaryDecoder.attention + RotaryDecoder.feedForward)

    static func configuration(_ fields: ConfigurationFields) throws(ModelError) -> ModelConfiguration {
        var configuration = try RotaryDecoder.configuration(fields)
        try RotaryDecoder.expectActivation(fields, key: "hidden_act", oneOf: ["silu"])
        configuration.hasQueryKeyValueBias = true
        try QwenWindows.read(fields, into: &configuration)
        return configuration
    }
}

/// Qwen's upper layers may have a window; published models leave it off, and GGUF files do not tell.
enum QwenWindows {
    static func read(
        _ fields: ConfigurationFields, into configuration: inout ModelConfiguration
    ) throws(ModelError) {
        guard try fields.flag("use_sliding_window", nil, default: false) else { return }
        let window = try fields.integer("sliding_window", nil, in: 1...Bounds.window.upperBound, default: 4_096)
        let first = try fields.integer("max_window_layers", nil, in: 0...Bounds.layers.upperBound, default: 28)
        configuration.windows = try RotaryDecoder.windows(
            fields, layers: configuration.layerCount, window: window, isWindowed: { $0 >= first })
    }
}
