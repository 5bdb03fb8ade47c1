// Checkpoints of GPT-2: layer norms with biases, learned positions, one matrix for query, key and value.

enum GPT2Checkpoint: FamilyCheckpoint {
    // Hugging Face stores the four matrices of a layer as Conv1D, transposed.
    static let tensors = TensorTable(
        prefixes: ["transformer.", ""], layerPrefix: "h.",
        model: [
            .init(.tokenEmbedding, "wte.weight", "token_embd.weight"),
            .init(.positionEmbedding, "wpe.weight", "position_embd.weight"),
            .init(.outputNorm, "ln_f.weight", "output_norm.weight"),
            .init(.outputNormBias, "ln_f.bias", "output_norm.bias"),
            .init(.output, "lm_head.weight", "output.weight", if: .untiedOutput),
        ],
        layer: [
            .init(.attentionNorm, "ln_1.weight", "attn_norm.weight"),
            .init(.attentionNormBias, "ln_1.bias", "attn_norm.bias"),
            .init(.queryKeyValue, "attn.c_attn.weight", "attn_qkv.weight", huggingFaceIs: .transposed),
            .init(.queryKeyValueBias, "attn.c_attn.bias", "attn_qkv.bias"),
            .init(.attentionOutput, "attn.c_proj.weight", "attn_output.weight", huggingFaceIs: .transposed),
            .init(.attentionOutputBias, "attn.c_proj.bias", "attn_output.bias"),
            .init(.feedForwardNorm, "ln_2.weight", "ffn_norm.weight"),
            .init(.feedForwardNormBias, "ln_2.bias", "ffn_norm.bias"),
            .init(.up, "mlp.c_fc.weight", "ffn_up.weight", huggingFaceIs: .transposed),
            .init(.upBias, "mlp.c_fc.bias", "ffn_up.bias"),
            .init(.down, "mlp.c_proj.weight", "ffn_down.weight", huggingFaceIs: .transposed),
            .init(.downBias, "mlp.c_proj.bias", "ffn_down.bias"),
        ])

    static func configuration(_ fields: ConfigurationFields) throws(ModelError) -> ModelConfiguration {
        let hidden = try fields.integer("n_embd", "embedding_length", in: Bounds.width)
        let heads = try fields.integer("n_head", "attention.head_count", in: Bounds.heads)
        guard hidden % heads == 0 else {
            throw fields.invalid(
                ConfigurationFields.key("n_head", "attention.head_count"), "\(heads) heads do not divide \(hidden)")
        }
        var configuration = ModelConfiguration(
            architecture: .gpt2,
            vocabularySize: try RotaryDecoder.vocabularySize(fields, default: nil),
            contextLength: try fields.integer("n_positions", "context_length", in: Bounds.context),
            hiddenSize: hidden,
            layerCount: try fields.integer("n_layer", "block_count", in: Bounds.layers),
            headCount: heads, keyValueHeadCount: heads, headSize: hidden / heads,
            intermediateSize: try fields.integer(
                "n_inner", "feed_forward_length", in: Bounds.width, default: 4 * hidden))
        configuration.normEpsilon = Float(
            try fields.number("layer_norm_epsilon", "attention.layer_norm_epsilon", default: 1e-5))
        try RotaryDecoder.expectActivation(
            fields, key: "activation_function", oneOf: ["gelu_new", "gelu_pytorch_tanh"])
        configuration.activation = .geluTanh
        configuration.hasQueryKeyValueBias = true
        configuration.hasAttentionOutputBias = true
        configuration.hasFeedForwardBias = true
        for key in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] {
            if try fields.flag(key, nil, default: false) {
                throw fields.unsupported(ConfigurationFields.key(key, nil), "true is not supported")
            }
        }
        if try !fields.flag("scale_attn_weights", nil, default: true) { configuration.attentionScale = 1 }
        configuration.isOutputTied =
            if let file = fields.ggufFile {
                file["output.weight"] == nil
            } else {
                try fields.flag("tie_word_embeddings", nil, default: true)
            }
        return configuration
    }
}
