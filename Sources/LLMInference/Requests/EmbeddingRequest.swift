// A text as one vector: what the model makes of its tokens before the LM head.
import LLMModels

/// Asks for the states after the last norm (`last_hidden_state` in transformers), pooled into one.
package struct EmbeddingRequest: EngineRequest, Hashable {
    package enum Pooling: String, Sendable, Hashable, CaseIterable {
        /// The mean over all tokens.
        case mean
        /// The last token's state.
        case last
    }

    package var id: UInt64
    package var tokens: [Int32]
    package var pooling: Pooling
    /// Scale the vector to length 1.
    package var normalizes: Bool
    package var adapter: LoRAAdapter?
    package var priority: Int

    package init(
        id: UInt64, tokens: [Int32], pooling: Pooling = .mean, normalizes: Bool = true, adapter: LoRAAdapter? = nil,
        priority: Int = 0
    ) {
        self.id = id
        self.tokens = tokens
        self.pooling = pooling
        self.normalizes = normalizes
        self.adapter = adapter
        self.priority = priority
    }

    package var tokenCount: Int { tokens.count }

    package func sequence(for model: any StepModel) throws(EngineError) -> any EngineSequence {
        guard !tokens.isEmpty else { throw .emptyPrompt }
        try model.check(tokens, "tokens")
        try model.check(rows: tokens.count, field: "tokens")
        return EmbeddingSequence(self, size: model.hiddenSize)
    }
}

package struct EmbeddingOutput: Sendable, Hashable {
    /// `StepModel.hiddenSize` elements.
    package var vector: [Float]
    package var usage: TokenUsage
}
