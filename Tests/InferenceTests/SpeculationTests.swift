// Guesses at the next tokens: what is guessed, and that nobody can tell from the answers.
import LLMKernels
import Testing

@testable import LLMInference

@Suite struct PromptLookupTests {
    private func draft(_ tokens: [Int32], _ count: Int = 4, earlier: [[Int32]] = []) -> [Int32] {
        var lookup = PromptLookup()
        for answer in earlier { lookup.remember(answer[...]) }
        var drafts: [Int32] = []
        lookup.draft(after: tokens, atMost: count, into: &drafts)
        return drafts
    }

    @Test func findsWhatFollowedTheSameTokens() {
        #expect(draft([1, 2, 3, 4, 5, 9, 1, 2, 3]) == [4, 5, 9, 1])
        #expect(draft([1, 2, 3, 4, 5, 9, 1, 2, 3], 2) == [4, 5])
        #expect(draft([1, 2, 3, 4, 5, 9, 1, 2, 3], 0) == [])
        #expect(draft([1, 2, 4, 5, 9, 1, 2]) == [], "two tokens are no match")
        #expect(draft([7, 7, 7, 7]) == [7], "what follows may be the end itself")
        #expect(draft([7]) == [] && draft([]) == [])
    }

    @Test func prefersLongerMatchesThenNewerOnes() {
        #expect(draft([5, 1, 2, 3, 8, 6, 1, 2, 3, 9, 5, 1, 2, 3], 1) == [8])
        #expect(draft([1, 2, 3, 8, 6, 1, 2, 3, 9, 0, 1, 2, 3], 1) == [9])
        #expect(draft([1, 2, 3, 8, 1, 2, 3], 1, earlier: [[0, 1, 2, 3, 5]]) == [8], "the sequence's own first")
        #expect(draft([0, 1, 2, 3], 3, earlier: [[0, 1, 2, 3, 5], [6, 6, 6, 6]]) == [5], "not beyond an answer")
        #expect(draft([1, 2, 3, 8, 0, 1, 2, 3], 1, earlier: [[0, 1, 2, 3, 5]]) == [5], "the longer match")
    }

    @Test func forgetsTheOldest() {
        var lookup = PromptLookup()
        lookup.remember([1, 2, 3, 4, 5])
        for _ in 0..<40 { lookup.remember(Array(repeating: 9, count: PromptLookup.memory / 20)[...]) }
        var drafts: [Int32] = []
        lookup.draft(after: [1, 2, 3, 4], atMost: 3, into: &drafts)
        #expect(drafts.isEmpty)
    }

    @Test func thePaceFollowsTheHits() {
        var pace = DraftPace()
        #expect(pace.next() == 2)
        pace.learn(drafted: 2, accepted: 2)
        #expect(pace.next() == 4)
        pace.learn(drafted: 4, accepted: 1)
        #expect(pace.next() == 2)
        pace.learn(drafted: 2, accepted: 0)
        #expect([pace.next(), pace.next()] == [0, 2])
        pace.learn(drafted: 2, accepted: 0)
        #expect([pace.next(), pace.next(), pace.next()] == [0, 0, 2])
    }
}

@Suite struct SpeculationTests {
    private func request(_ id: UInt64, temperature: Float = 0) -> GenerationRequest {
        GenerationRequest(
            id: id, prompt: [Int32(id % 90 + 1), 4, 7],
            parameters: SamplingParameters(
                maximumTokens: 120, temperature: temperature, seed: id, logprobs: 2, ignoreEndOfText: true))
    }

    /// A model that looks at two tokens only soon goes round in circles.
    @Test func repetitionsTakeFewerSteps() throws {
        var harness = EngineHarness(model: ToyModel(sight: 1))
        harness.limits.draftRows = 0
        let (plain, slow) = try harness.run([[request(1)]])
        harness.limits.draftRows = 8
        let (drafted, fast) = try harness.run([[request(1)]])
        #expect(plain == drafted)
        #expect(slow.draftedTokens == 0 && fast.acceptedTokens > 60)
        #expect(fast.steps + fast.acceptedTokens == slow.steps)
        #expect(fast.prefillTokens == slow.prefillTokens && fast.generatedTokens == slow.generatedTokens)
    }

    @Test func answersOfOthersAreLookedUpToo() throws {
        var harness = EngineHarness(model: ToyModel(sight: 12))
        harness.limits.maximumSequences = 1
        let prompt = (0..<12).map { Int32($0 + 1) }
        let requests = (0..<2).map { id in
            GenerationRequest(
                id: id, prompt: prompt, parameters: SamplingParameters(maximumTokens: 100, ignoreEndOfText: true))
        }
        let (results, stats) = try harness.run([requests])
        #expect(results[0]?.output?.tokens == results[1]?.output?.tokens)
        #expect(stats.acceptedTokens > 50 && stats.steps < 160)
    }

    @Test func answersDoNotDependOnDrafts() throws {
        var random = TestRandom()
        print("speculation: seed \(random.seed)")
        for sight in [2, 3] {
            let requests = (0..<40).map { id in
                var request = GenerationRequest.random(
                    id: UInt64(id), vocabulary: 97, longestPrompt: 60, longestOutput: 80, &random)
                if random.chance(0.7) { request.parameters.temperature = 0 }
                return request
            }
            _ = try checkInvariance(ToyModel(sight: sight), requests, rounds: 20, blocks: 10...16, &random)
        }
    }
}
