// The numbers that define a model, the same for all families and both formats. Families/*Checkpoint read them.
import LLMKernels

/// The shape and the constants of a model. A value made by a `ModelSource` has passed `check`.
package struct ModelConfiguration: Sendable, Equatable {
    package var architecture: Architecture
    /// Rows of the token embedding; token ids are below it.
    package var vocabularySize: Int
    /// Tokens that the model was made for: positions 0..<contextLength.
    package var contextLength: Int
    /// Width of the residual stream.
    package var hiddenSize: Int
    package var layerCount: Int
    /// Query heads.
    package var headCount: Int
    /// Key-value heads; each serves headCount / keyValueHeadCount query heads.
    package var keyValueHeadCount: Int
    /// Values per head, in queries, keys and values alike. Even.
    package var headSize: Int
    /// Width of the feed-forward part.
    package var intermediateSize: Int

    /// Added to the mean square (RMS norm) or the variance (layer norm).
    package var normEpsilon: Float = 1e-5
    package var activation: Activation = .silu
    /// Queries times keys are multiplied by this before the softmax.
    package var attentionScale: Float = 1
    /// Attention scores s become cap·tanh(s / cap); nil for no cap.
    package var attentionSoftcap: Float?
    /// The same for logits.
    package var finalSoftcap: Float?
    /// Token embeddings are multiplied by this (Gemma: √hiddenSize).
    package var embeddingScale: Float = 1

    /// For each layer the number of last tokens, itself included, that a token attends to; nil for all.
    package var windows: [Int?]
    /// Rotary positions of layers that see everything; nil for a model with learned positions.
    package var rotary: RotaryParameters?
    /// Rotary positions of layers with a window; equals `rotary` but in Gemma 3.
    package var windowRotary: RotaryParameters?
    /// Which values of a head are rotated together, as this file stores them.
    package var ropeStyle: RoPEStyle = .halves

    /// The LM head is the token embedding, and there is no tensor `.output`.
    package var isOutputTied = false
    package var hasQueryKeyValueBias = false
    package var hasAttentionOutputBias = false
    package var hasFeedForwardBias = false

    package var beginOfText: Int32?
    /// Tokens that end a text, or a turn of a chat; in the order of the file, without repetition.
    package var endOfText: [Int32] = []

    /// Full attention in all layers, no rotary positions.
    package init(
        architecture: Architecture, vocabularySize: Int, contextLength: Int, hiddenSize: Int, layerCount: Int,
        headCount: Int, keyValueHeadCount: Int, headSize: Int, intermediateSize: Int
    ) {
        self.architecture = architecture
        self.vocabularySize = vocabularySize
        self.contextLength = contextLength
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headSize = headSize
        self.intermediateSize = intermediateSize
        attentionScale = Float(1 / Double(headSize).squareRoot())
        windows = Array(repeating: nil, count: layerCount)
    }

    /// H·D: the width of all query heads together.
    package var querySize: Int { headCount * headSize }
    /// G·D: the width of all key heads together.
    package var keyValueSize: Int { keyValueHeadCount * headSize }
}

package enum Activation: Sendable, Equatable {
    /// x·sigmoid(x)
    case silu
    /// GELU in its tanh approximation
    case geluTanh
}

// MARK: Tensors

extension ModelConfiguration {
    /// [rows, columns] of a matrix, [length] of a vector.
    package func shape(_ name: TensorName) -> [Int] {
        switch name {
        case .tokenEmbedding, .output: [vocabularySize, hiddenSize]
        case .positionEmbedding: [contextLength, hiddenSize]
        case .outputNorm, .outputNormBias: [hiddenSize]
        case .layer(_, let tensor): shape(tensor)
        }
    }

    private func shape(_ tensor: LayerTensor) -> [Int] {
        switch tensor {
        case .query: [querySize, hiddenSize]
        case .queryBias: [querySize]
        case .key, .value: [keyValueSize, hiddenSize]
        case .keyBias, .valueBias: [keyValueSize]
        case .queryKeyValue: [querySize + 2 * keyValueSize, hiddenSize]
        case .queryKeyValueBias: [querySize + 2 * keyValueSize]
        case .queryNorm, .keyNorm: [headSize]
        case .attentionOutput: [hiddenSize, querySize]
        case .gate, .up: [intermediateSize, hiddenSize]
        case .gateBias, .upBias: [intermediateSize]
        case .down: [hiddenSize, intermediateSize]
        case .attentionNorm, .attentionNormBias, .attentionOutputBias, .postAttentionNorm, .feedForwardNorm,
            .feedForwardNormBias, .downBias, .postFeedForwardNorm:
            [hiddenSize]
        }
    }

    /// Every tensor that a model of this configuration must have.
    package var requiredTensors: [TensorName] {
        let table = architecture.checkpoint.tensors
        let perLayer = (0..<layerCount).flatMap { layer in
            table.layer.filter { isNeeded($0.condition) }.map { TensorName.layer(layer, $0.name) }
        }
        return table.model.filter { isNeeded($0.condition) }.map(\.name) + perLayer
    }

    func isNeeded(_ condition: TensorCondition) -> Bool {
        switch condition {
        case .always: true
        case .untiedOutput: !isOutputTied
        case .queryKeyValueBias: hasQueryKeyValueBias
        case .attentionOutputBias: hasAttentionOutputBias
        case .feedForwardBias: hasFeedForwardBias
        }
    }
}
