// Which continuations are read together.
import Testing

@testable import JobHandlers
@testable import LLMInference

@Suite struct ChoicesTests {
    private typealias Pair = ContinuationEncoder.Pair

    private func score(_ tokens: [Int32], endings: [Int32] = []) -> ScoreOutput {
        func scored(_ token: Int32) -> ScoredToken {
            ScoredToken(logprob: TokenLogprob(token: token, logprob: -Float(token), top: []), isGreedy: false)
        }
        return ScoreOutput(tokens: tokens.map(scored), endings: endings.map(scored), usage: .none)
    }

    @Test func thoseThatDifferInTheLastTokenAloneAreOneRequest() {
        let choices = Choices([
            Pair(tokens: [1, 2, 10], firstScored: 2), Pair(tokens: [1, 2, 11], firstScored: 2),
            Pair(tokens: [1, 2, 10, 12], firstScored: 2), Pair(tokens: [1, 2, 10], firstScored: 2),
            Pair(tokens: [1, 2, 10, 13], firstScored: 2), Pair(tokens: [1, 2, 10], firstScored: 1),
        ])
        #expect(
            choices.requests == [
                .init(pair: Pair(tokens: [1, 2, 10], firstScored: 2), endings: [11, 10]),
                .init(pair: Pair(tokens: [1, 2, 10, 12], firstScored: 2), endings: [13]),
                .init(pair: Pair(tokens: [1, 2, 10], firstScored: 1)),
            ])
        let scores = choices.scores([
            score([10], endings: [11, 10]), score([10, 12], endings: [13]), score([2, 10]),
        ])
        #expect(scores.map(\.logprob) == [-10, -11, -22, -10, -23, -12])
    }
}
