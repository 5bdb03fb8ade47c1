// What an engine answers.

package enum FinishReason: String, Sendable, Hashable {
    /// An end-of-text token, a stop token or a stop string, or the constraint leaves nothing that could follow.
    case stop
    /// `maximumTokens` or the end of the context. With a constraint also: the answer was led to its end because of them.
    case length
    case cancelled
}

/// Which of several possible ends it was.
package enum StopMatch: Sendable, Hashable {
    case endOfText(Int32)
    case token(Int32)
    case string(String)
    /// The text satisfies the constraint and nothing may follow it.
    case constraint
}

package struct TokenUsage: Sendable, Hashable {
    package var promptTokens: Int
    /// Generated tokens with the one that ended the answer and with resumed ones.
    package var completionTokens: Int
    /// Prompt tokens whose keys and values were found in the cache.
    package var cachedTokens: Int

    package static let none = TokenUsage(promptTokens: 0, completionTokens: 0, cachedTokens: 0)

    package static func + (a: TokenUsage, b: TokenUsage) -> TokenUsage {
        TokenUsage(
            promptTokens: a.promptTokens + b.promptTokens, completionTokens: a.completionTokens + b.completionTokens,
            cachedTokens: a.cachedTokens + b.cachedTokens)
    }
}

/// Natural logarithms of probabilities under the model's own distribution: before constraint,
/// penalties, temperature and filters.
package struct TokenLogprob: Sendable, Hashable {
    package struct Alternative: Sendable, Hashable {
        package var token: Int32
        package var logprob: Float
    }

    package var token: Int32
    package var logprob: Float
    /// The most probable tokens, most probable first, the lower id first among equals.
    package var top: [Alternative]
}

/// A whole answer, resumed tokens included.
package struct GenerationOutput: Sendable, Hashable {
    /// Every generated token, also the one that ended the answer and those whose text a stop string cut off.
    package var tokens: [Int32]
    package var text: String
    package var finishReason: FinishReason
    /// Set for the reason `stop`.
    package var stopMatch: StopMatch?
    package var usage: TokenUsage
    /// One for each of `tokens`, or empty when none were asked for.
    package var logprobs: [TokenLogprob]
}
