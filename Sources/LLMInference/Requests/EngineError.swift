// What can be wrong with a request or with an engine's settings. Descriptions are fit for users.

package enum EngineError: Error, Sendable, Hashable {
    /// A sampling parameter or limit out of its range.
    case invalidParameter(field: String, reason: String)
    case emptyPrompt
    /// The adapter was made for a model of other shapes.
    case foreignAdapter
    /// A token id that the model's vocabulary doesn't have.
    case tokenOutOfRange(field: String, index: Int, token: Int32, vocabularySize: Int)
    /// No room for one generated token.
    case promptTooLong(tokens: Int, contextLength: Int)
    /// More tokens than the model has places for.
    case exceedsContext(field: String, tokens: Int, contextLength: Int)
    /// The longest possible answer needs more cache than the engine has at all.
    case exceedsCache(neededBlocks: Int, cacheBlocks: Int)
    /// No answer of at most `maximumTokens` tokens satisfies the constraint for certain.
    case constraintTooLong(neededTokens: Int, availableTokens: Int)
    /// Resumed tokens that an uninterrupted run could not have produced.
    case invalidResume(reason: String)
    case duplicateRequest(UInt64)
    /// The queue before the slots is full; nothing is wrong with the request.
    case busy(waiting: Int)
    /// The engine is draining or has stopped; nothing is wrong with the request.
    case stopped
    /// A score or an embedding was cancelled; there is no part of one.
    case cancelled
    /// The model gave NaN or infinity as the state of a token.
    case invalidState
    /// The model gave NaN or infinity (or nothing but −infinity) for this position of the sequence.
    case invalidLogits(position: Int)
}

extension EngineError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .invalidParameter(let field, let reason):
            "\(field): \(reason)"
        case .emptyPrompt:
            "prompt: has no tokens"
        case .foreignAdapter:
            "adapter: belongs to another model"
        case .tokenOutOfRange(let field, let index, let token, let vocabularySize):
            "\(field)[\(index)]: token \(token) is outside of the vocabulary of \(vocabularySize)"
        case .promptTooLong(let tokens, let contextLength):
            "prompt: \(tokens) tokens leave no room for an answer in a context of \(contextLength)"
        case .exceedsContext(let field, let tokens, let contextLength):
            "\(field): \(tokens) tokens don't fit a context of \(contextLength)"
        case .exceedsCache(let needed, let cache):
            "prompt and maximumTokens: need \(needed) cache blocks of \(TokenBlock.size) tokens, the engine has \(cache)"
        case .constraintTooLong(let needed, let available):
            "maximumTokens: the shortest text that satisfies the constraint may take \(needed) tokens, there is room for \(available)"
        case .invalidResume(let reason):
            "resumeTokens: \(reason)"
        case .duplicateRequest(let id):
            "id: request \(id) is already in the engine"
        case .busy(let waiting):
            "the engine already holds \(waiting) waiting requests"
        case .stopped:
            "the engine takes no more requests"
        case .cancelled:
            "the request was cancelled"
        case .invalidState:
            "the model gave no usable state for a token (NaN or infinity)"
        case .invalidLogits(let position):
            "the model gave no usable logits at position \(position) (NaN or infinity)"
        }
    }
}
