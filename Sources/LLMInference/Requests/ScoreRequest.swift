// How probable given tokens are.
import LLMModels

/// Asks for the log-probability of each token from `firstScored` on, given those before it.
package struct ScoreRequest: EngineRequest, Hashable {
    package var id: UInt64
    package var tokens: [Int32]
    /// Tokens that are scored in the place of the last one as well: choices that differ in it alone are one request.
    package var endings: [Int32]
    /// 1 or more: the first token follows nothing.
    package var firstScored: Int
    /// Most probable tokens to tell beside each scored one, 0…20.
    package var alternatives: Int
    package var adapter: LoRAAdapter?
    package var priority: Int

    package init(
        id: UInt64, tokens: [Int32], endings: [Int32] = [], firstScored: Int, alternatives: Int = 0,
        adapter: LoRAAdapter? = nil, priority: Int = 0
    ) {
        self.id = id
        self.tokens = tokens
        self.endings = endings
        self.firstScored = firstScored
        self.alternatives = alternatives
        self.adapter = adapter
        self.priority = priority
    }

    package var tokenCount: Int { tokens.count }

    package func sequence(for model: any StepModel) throws(EngineError) -> any EngineSequence {
        let most = SamplingParameters.maximumLogprobs
        guard (0...most).contains(alternatives) else {
            throw .invalidParameter(field: "alternatives", reason: "must be 0…\(most), is \(alternatives)")
        }
        guard firstScored >= 1 && firstScored < tokens.count else {
            throw .invalidParameter(
                field: "firstScored", reason: "must be 1 or more and below \(tokens.count), is \(firstScored)")
        }
        try model.check(tokens, "tokens")
        try model.check(endings, "endings")
        // The last token is only looked up.
        try model.check(rows: tokens.count - 1, field: "tokens")
        return ScoreSequence(self)
    }
}

package struct ScoredToken: Sendable, Hashable {
    package var logprob: TokenLogprob
    /// It is the most probable one (the lowest id among equals), so greedy decoding would have chosen it.
    package var isGreedy: Bool
}

package struct ScoreOutput: Sendable, Hashable {
    /// One for each token from `firstScored` on.
    package var tokens: [ScoredToken]
    /// One for each of the request's endings.
    package var endings: [ScoredToken]
    package var usage: TokenUsage

    /// The same with one of the endings as the last token.
    package func ending(_ index: Int) -> ScoreOutput {
        ScoreOutput(tokens: tokens.dropLast() + [endings[index]], endings: [], usage: usage)
    }

    /// Sum of the log-probabilities, in their order.
    package var logprob: Double { tokens.reduce(0) { $0 + Double($1.logprob.logprob) } }

    /// Greedy decoding would have given all of them.
    package var isGreedy: Bool { tokens.allSatisfy(\.isGreedy) }
}
