// The names by which the forward pass asks for weights. What a checkpoint calls them stands in Families/*Checkpoint.

/// A weight of a model. Matrices are [rows = outputs, columns = inputs].
package enum TensorName: Sendable, Hashable {
    /// [vocabulary, hidden]
    case tokenEmbedding
    /// [context, hidden], learned positions (GPT-2)
    case positionEmbedding
    /// [hidden]
    case outputNorm, outputNormBias
    /// The LM head, [vocabulary, hidden]; only of models whose embedding is not tied.
    case output
    /// A weight of the layer with this index.
    case layer(Int, LayerTensor)
}

/// A weight that every layer has for itself. H query heads, G key-value heads, D values per head.
package enum LayerTensor: String, Sendable, Hashable, CaseIterable {
    /// [hidden]: before attention
    case attentionNorm, attentionNormBias
    /// [H·D, hidden]
    case query
    case queryBias
    /// [G·D, hidden]
    case key
    case keyBias
    /// [G·D, hidden]
    case value
    case valueBias
    /// [(H + 2G)·D, hidden]: query, key and value rows one after another (GPT-2)
    case queryKeyValue
    case queryKeyValueBias
    /// [D]: norms over each query and key head (Qwen3, Gemma 3)
    case queryNorm, keyNorm
    /// [hidden, H·D]
    case attentionOutput
    case attentionOutputBias
    /// [hidden]: after attention, before the residual sum (Gemma 3)
    case postAttentionNorm
    /// [hidden]: before the feed-forward part
    case feedForwardNorm, feedForwardNormBias
    /// [intermediate, hidden]
    case gate
    case gateBias
    /// [intermediate, hidden]
    case up
    case upBias
    /// [hidden, intermediate]
    case down
    case downBias
    /// [hidden]: after the feed-forward part, before the residual sum (Gemma 3)
    case postFeedForwardNorm
}
