// What an engine tells while it works.

/// One more token of an answer.
package struct GeneratedToken: Sendable, Hashable {
    package var request: UInt64
    /// Place in `GenerationOutput.tokens`, from 0.
    package var index: Int
    package var token: Int32
    /// Text that became certain with this token: whole characters, without anything that may be the beginning of a stop
    /// string. All of a request's deltas, in order, are its output's text.
    package var text: String
    package var logprob: TokenLogprob?
}

/// Every accepted request ends with exactly one of the events but `token`.
package enum EngineEvent: Sendable, Hashable {
    case token(GeneratedToken)
    case finished(request: UInt64, GenerationOutput)
    case scored(request: UInt64, ScoreOutput)
    case embedded(request: UInt64, EmbeddingOutput)
    /// This request alone went wrong; its neighbours are not affected.
    case failed(request: UInt64, EngineError)

    package var request: UInt64 {
        switch self {
        case .token(let token): token.request
        case .finished(let request, _), .scored(let request, _), .embedded(let request, _), .failed(let request, _):
            request
        }
    }

    /// True for the request's last event.
    package var isLast: Bool {
        if case .token = self { false } else { true }
    }
}
