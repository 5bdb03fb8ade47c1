// What Llama and its descendants have in common: RMS norms, rotary positions, a gated feed-forward part, and most names.
import JSON

/// Tensor names and configuration keys shared by the families with rotary positions.
enum RotaryDecoder {
    static let model: [TensorKey<TensorName>] = [
        .init(.tokenEmbedding, "embed_tokens.weight", "token_embd.weight"),
        .init(.outputNorm, "norm.weight", "output_norm.weight"),
        .init(.output, "lm_head.weight", "output.weight", if: .untiedOutput),
    ]

    static let attention: [TensorKey<LayerTensor>] = [
        .init(.query, "self_attn.q_proj.weight", "attn_q.weight"),
        .init(.queryBias, "self_attn.q_proj.bias", "attn_q.bias", if: .queryKeyValueBias),
        .init(.key, "self_attn.k_proj.weight", "attn_k.weight"),
        .init(.keyBias, "self_attn.k_proj.bias", "attn_k.bias", if: .queryKeyValueBias),
        .init(.value, "self_attn.v_proj.weight", "attn_v.weight"),
        .init(.valueBias, "self_attn.v_proj.bias", "attn_v.bias", if: .queryKeyValueBias),
        .init(.attentionOutput, "self_attn.o_proj.weight", "attn_output.weight"),
        .init(.attentionOutputBias, "self_attn.o_proj.bias", "attn_output.bias", if: .attentionOutputBias),
    ]

    static let headNorms: [TensorKey<LayerTensor>] = [
        .init(.queryNorm, "self_attn.q_norm.weight", "attn_q_norm.weight"),
        .init(.keyNorm, "self_attn.k_norm.weight", "attn_k_norm.weight"),
    ]

    static let feedForward: [TensorKey<LayerTensor>] = [
        .init(.gate, "mlp.gate_proj.weight", "ffn_gate.weight"),
        .init(.gateBias, "mlp.gate_proj.bias", "ffn_gate.bias", if: .feedForwardBias),
        .init(.up, "mlp.up_proj.weight", "ffn_up.weight"),
        .init(.upBias, "mlp.up_proj.bias", "ffn_up.bias", if: .feedForwardBias),
        .init(.down, "mlp.down_proj.weight", "ffn_down.weight"),
        .init(.downBias, "mlp.down_proj.bias", "ffn_down.bias", if: .feedForwardBias),
    ]

    /// The two norms of a layer of Llama and Qwen.
    static let norms: [TensorKey<LayerTensor>] = [
        .init(.attentionNorm, "input_layernorm.weight", "attn_norm.weight"),
        .init(.feedForwardNorm, "post_attention_layernorm.weight", "ffn_norm.weight"),
    ]

    /// Values that a family's `config.json` may leave out.
    struct Defaults {
        var headCount: Int?
        var keyValueHeadCount: Int?
        /// nil: hidden size / heads.
        var headSize: Int?
        var contextLength: Int?
        var vocabularySize: Int?
        var hiddenSize: Int?
        var intermediateSize: Int?
        var layerCount: Int?
        var isOutputTied = false
    }

    /// Sizes, norms, activation, biases and unscaled rotary positions; full attention everywhere.
    static func configuration(
        _ fields: ConfigurationFields, defaults: Defaults = Defaults()
    ) throws(ModelError) -> ModelConfiguration {
        let hidden = try fields.integer(
            "hidden_size", "embedding_length", in: Bounds.width, default: defaults.hiddenSize)
        let heads = try fields.integer(
            "num_attention_heads", "attention.head_count", in: Bounds.heads, default: defaults.headCount)
        var configuration = ModelConfiguration(
            architecture: fields.architecture,
            vocabularySize: try vocabularySize(fields, default: defaults.vocabularySize),
            contextLength: try fields.integer(
                "max_position_embeddings", "context_length", in: Bounds.context, default: defaults.contextLength),
            hiddenSize: hidden,
            layerCount: try fields.integer(
                "num_hidden_layers", "block_count", in: Bounds.layers, default: defaults.layerCount),
            headCount: heads,
            keyValueHeadCount: try fields.integer(
                "num_key_value_heads", "attention.head_count_kv", in: Bounds.heads,
                default: defaults.keyValueHeadCount ?? heads),
            headSize: try headSize(fields, default: defaults.headSize ?? (hidden % heads == 0 ? hidden / heads : nil)),
            intermediateSize: try fields.integer(
                "intermediate_size", "feed_forward_length", in: Bounds.width, default: defaults.intermediateSize))
        configuration.normEpsilon = Float(
            try fields.number("rms_norm_eps", "attention.layer_norm_rms_epsilon", default: 1e-6))
        configuration.rotary = try Rotary.parameters(fields, headSize: configuration.headSize)
        configuration.windowRotary = configuration.rotary
        if let file = fields.ggufFile {
            configuration.isOutputTied = file["output.weight"] == nil
            configuration.hasQueryKeyValueBias = file["blk.0.attn_q.bias"] != nil
            configuration.hasAttentionOutputBias = file["blk.0.attn_output.bias"] != nil
            configuration.hasFeedForwardBias = file["blk.0.ffn_down.bias"] != nil
        } else {
            configuration.isOutputTied = try fields.flag("tie_word_embeddings", nil, default: defaults.isOutputTied)
        }
        return configuration
    }

    /// `config.json` says it; in a GGUF file the embedding does.
    static func vocabularySize(_ fields: ConfigurationFields, default fallback: Int?) throws(ModelError) -> Int {
        guard let file = fields.ggufFile else {
            return try fields.integer("vocab_size", nil, in: Bounds.vocabulary, default: fallback)
        }
        guard let embedding = file["token_embd.weight"] else {
            throw .missingTensor(path: file.path, name: "token_embd.weight")
        }
        guard embedding.dimensions.count == 2, Bounds.vocabulary.contains(embedding.dimensions[1]) else {
            throw .invalidFile(
                path: file.path, field: "tensor \"token_embd.weight\"",
                reason: "dimensions \(embedding.dimensions) are no [hidden, vocabulary]")
        }
        return embedding.dimensions[1]
    }

    private static func headSize(_ fields: ConfigurationFields, default fallback: Int?) throws(ModelError) -> Int {
        let size = try fields.integer("head_dim", "attention.key_length", in: Bounds.headSize, default: fallback)
        let values = ConfigurationFields.key(nil, "attention.value_length")
        if let valueSize = try fields.optionalInteger(values, in: Bounds.headSize), valueSize != size {
            throw fields.unsupported(values, "values of another size (\(valueSize)) than keys (\(size))")
        }
        return size
    }

    /// Fails unless the activation that `config.json` names, if it names one, is the one of the family. GGUF files name
    /// none.
    static func expectActivation(
        _ fields: ConfigurationFields, key: String, oneOf names: Set<String>
    ) throws(ModelError) {
        guard let activation = try fields.string(key, nil), !names.contains(activation) else { return }
        throw fields.unsupported(
            ConfigurationFields.key(key, nil),
            "activation \"\(activation)\" is not supported; \(names.sorted().joined(separator: ", ")) is")
    }

    /// Which layers have a window: `layer_types` of `config.json` where it exists, else `isWindowed`.
    static func windows(
        _ fields: ConfigurationFields, layers: Int, window: Int, isWindowed: (Int) -> Bool
    ) throws(ModelError) -> [Int?] {
        guard let types = fields.json("layer_types") else {
            return (0..<layers).map { isWindowed($0) ? window : nil }
        }
        let key = ConfigurationFields.key("layer_types", nil)
        guard let list = types.arrayValue, list.count == layers else {
            throw fields.invalid(key, "a list with \(layers) elements is expected, one per layer")
        }
        var windows: [Int?] = []
        for type in list {
            switch type.stringValue {
            case "full_attention": windows.append(nil)
            case "sliding_attention": windows.append(window)
            default: throw fields.unsupported(key, "\(type.text()) is not supported")
            }
        }
        return windows
    }
}

/// Bounds of what a configuration may say; several times what any published model has.
enum Bounds {
    static let width = 1...(1 << 18)
    static let layers = 1...1_024
    static let heads = 1...1_024
    static let headSize = 2...1_024
    static let vocabulary = 1...(1 << 23)
    static let context = 1...(1 << 23)
    /// 0 turns the window off.
    static let window = 0...(1 << 23)
}
