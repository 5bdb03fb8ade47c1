// Given tokens while their log-probabilities are computed.

final class ScoreSequence: LogitReader {
    let id: UInt64
    let tokens: [Int32]
    private let endings: [Int32]
    private let firstScored: Int
    private let alternatives: Int
    private var scored: [ScoredToken] = []
    private var scoredEndings: [ScoredToken] = []
    private var isCancelled = false

    init(_ request: ScoreRequest) {
        id = request.id
        tokens = request.tokens
        endings = request.endings
        firstScored = request.firstScored
        alternatives = request.alternatives
    }

    /// Nothing follows the last token, so it needs no row.
    var known: Int { tokens.count - 1 }
    var longest: Int { known }
    var outputFrom: Int { firstScored - 1 }
    var reader: RowReader { .logits(self) }
    var isComplete: Bool { isCancelled || scored.count == tokens.count - firstScored }

    func reserve() { scored.reserveCapacity(tokens.count - firstScored) }

    func cancel() { isCancelled = true }

    func end(cachedTokens: Int) -> EngineEvent {
        if isCancelled { return .failed(request: id, .cancelled) }
        let usage = TokenUsage(promptTokens: tokens.count, completionTokens: 0, cachedTokens: cachedTokens)
        return .scored(request: id, ScoreOutput(tokens: scored, endings: scoredEndings, usage: usage))
    }

    func evaluate(_ logits: UnsafePointer<Float>, at position: Int, _ sampler: Sampler) -> LogitOutcome {
        guard let normaliser = sampler.logNormaliser(logits) else { return LogitOutcome() }
        func logprob(_ token: Int32) -> TokenLogprob {
            sampler.logprob(of: token, logits, alternatives: alternatives, logNormaliser: normaliser)
        }
        var outcome = LogitOutcome(token: sampler.mostProbable(logits), logprob: logprob(tokens[position + 1]))
        if position + 2 == tokens.count { outcome.endings = endings.map(logprob) }
        return outcome
    }

    func take(_ outcome: LogitOutcome, at position: Int, _ sink: (EngineEvent) -> Void) -> Bool {
        if position + 1 == firstScored + scored.count, let logprob = outcome.logprob {
            scored.append(ScoredToken(logprob: logprob, isGreedy: outcome.token == logprob.token))
            for ending in outcome.endings {
                scoredEndings.append(ScoredToken(logprob: ending, isGreedy: outcome.token == ending.token))
            }
        }
        return false
    }
}
