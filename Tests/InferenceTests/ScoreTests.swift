// Scores and embeddings by the engine: what they are, and that nothing around them changes a bit.
import Foundation
import LLMKernels
import LLMModels
import Testing

@testable import LLMInference

@Suite struct ScoreTests {
    private let model = ToyModel()

    /// Log-probabilities and states of every position of a text, computed all at once by the bare runner.
    private func rows(_ tokens: [Int32]) -> (logits: [[Float]], states: [[Float]]) {
        let runner = model.makeRunner(
            cacheBlocks: 16, maximumRows: tokens.count, maximumLogitRows: tokens.count, team: ThreadTeam(threads: 1))
        var batch = StepBatch()
        batch.tokens = tokens
        batch.positions = tokens.indices.map { Int32($0) }
        batch.sequences = tokens.map { _ in 0 }
        batch.blockTables = [(0..<16).map { Int32($0) }]
        batch.outputRows = batch.positions
        func split(_ base: UnsafePointer<Float>, _ size: Int) -> [[Float]] {
            tokens.indices.map { Array(UnsafeBufferPointer(start: base + $0 * size, count: size)) }
        }
        let states = split(runner.forward(batch), model.hiddenSize)
        return (split(runner.logits(tokens.indices), model.vocabularySize), states)
    }

    @Test func scoresAreLogSoftmaxOfTheRowBefore() throws {
        let tokens = (0..<70).map { Int32($0 * 31 % 95 + 1) }
        let logits = rows(tokens).logits
        for firstScored in [1, 16, 17, 50, 69] {
            let request = ScoreRequest(id: 1, tokens: tokens, firstScored: firstScored, alternatives: 3)
            let score = try #require(EngineHarness().run(one: request).score)
            #expect(score.tokens.map(\.logprob.token) == Array(tokens[firstScored...]))
            #expect(score.usage.promptTokens == 70 && score.usage.completionTokens == 0)
            for (index, scored) in score.tokens.enumerated() {
                let row = logits[firstScored + index - 1].map(Double.init)
                let normaliser = log(row.reduce(0) { $0 + exp($1) })
                #expect(abs(Double(scored.logprob.logprob) - row[Int(scored.logprob.token)] + normaliser) < 1e-5)
                let best = row.enumerated().sorted { ($0.element, $1.offset) > ($1.element, $0.offset) }.prefix(3)
                #expect(scored.logprob.top.map { Int($0.token) } == best.map(\.offset))
                #expect(scored.isGreedy == (Int(scored.logprob.token) == best[0].offset))
            }
            #expect(score.logprob == score.tokens.reduce(0) { $0 + Double($1.logprob.logprob) })
        }
    }

    @Test func whatGreedyDecodingGaveIsGreedy() throws {
        let prompt: [Int32] = [5, 6, 7]
        let parameters = SamplingParameters(maximumTokens: 40, logprobs: 0, ignoreEndOfText: true)
        let output = try #require(
            EngineHarness().run(one: GenerationRequest(id: 1, prompt: prompt, parameters: parameters)).output)
        var request = ScoreRequest(id: 1, tokens: prompt + output.tokens, firstScored: 3)
        let score = try #require(EngineHarness().run(one: request).score)
        #expect(score.isGreedy && score.tokens.map(\.logprob) == output.logprobs)
        request.tokens[20] = request.tokens[20] == 1 ? 2 : 1
        let changed = try #require(EngineHarness().run(one: request).score)
        #expect(!changed.isGreedy && changed.tokens[16].isGreedy && !changed.tokens[17].isGreedy)
        #expect(changed.tokens[..<17] == score.tokens[..<17])
    }

    @Test func embeddingsPoolTheStates() throws {
        let tokens = (0..<50).map { Int32($0 * 17 % 95 + 1) }
        let states = rows(tokens).states
        func vector(_ pooling: EmbeddingRequest.Pooling, normalizes: Bool) throws -> [Float] {
            let request = EmbeddingRequest(id: 1, tokens: tokens, pooling: pooling, normalizes: normalizes)
            return try #require(EngineHarness().run(one: request).embedding).vector
        }
        #expect(try vector(.last, normalizes: false) == states[49])
        let mean = (0..<model.hiddenSize).map { index in
            states.reduce(0.0) { $0 + Double($1[index]) } * (1 / 50.0)
        }
        #expect(try vector(.mean, normalizes: false) == mean.map(Float.init))
        for pooling in EmbeddingRequest.Pooling.allCases {
            let unit = try vector(pooling, normalizes: true)
            #expect(abs(unit.reduce(0.0) { $0 + Double($1) * Double($1) } - 1) < 1e-6)
        }
    }

    @Test func nothingAroundThemChangesABit() throws {
        var random = TestRandom()
        print("scores in company: seed \(random.seed)")
        let requests = (0..<80).map { EngineRequestMix.random(UInt64($0), vocabulary: 97, longest: 120, &random) }
        _ = try checkInvariance(model, requests, rounds: 25, preemptions: 10, blocks: 8...10, &random)
    }

    /// A prompt is computed once for all its continuations, and only their own rows besides.
    @Test func continuationsShareTheirPrompt() throws {
        let prompt = (0..<96).map { Int32($0 % 90 + 1) }
        let requests = (0..<4).map { choice in
            ScoreRequest(id: UInt64(choice), tokens: prompt + [Int32(choice + 1), 5, 9], firstScored: 96)
        }
        var harness = EngineHarness()
        harness.limits = EngineLimits(maximumSequences: 8, tokenBudget: 256, cacheBlocks: 100)
        let (results, stats) = try harness.run([requests])
        // The last row of the prompt is in its sixth block, whose rows each computes for itself.
        #expect(stats.prefillTokens == 80 + 4 * (16 + 2) && stats.steps == 2)
        #expect(results.values.allSatisfy { $0.score?.tokens.count == 3 })
    }

    /// Choices that differ in the last token alone are one request, and score as if they were several.
    @Test func endingsScoreAsTheirOwnRequests() throws {
        let tokens = (0..<40).map { Int32($0 * 3 % 95 + 1) }
        let endings: [Int32] = [9, tokens[39], 60]
        for firstScored in [39, 30] {
            let one = ScoreRequest(id: 1, tokens: tokens, endings: endings, firstScored: firstScored, alternatives: 2)
            let score = try #require(EngineHarness().run(one: one).score)
            #expect(score.endings.count == 3 && score.endings[1] == score.tokens.last)
            for (index, ending) in endings.enumerated() {
                let own = ScoreRequest(
                    id: 1, tokens: tokens.dropLast() + [ending], firstScored: firstScored, alternatives: 2)
                #expect(try score.ending(index) == EngineHarness().run(one: own).score)
            }
        }
    }

    @Test func aLongTextTakesWholeStepsAndLittleMemory() throws {
        var harness = EngineHarness()
        harness.limits = EngineLimits(maximumSequences: 2, tokenBudget: 64, cacheBlocks: 16)
        let tokens = (0..<250).map { Int32($0 * 7 % 95 + 1) }
        let (results, stats) = try harness.run([[ScoreRequest(id: 1, tokens: tokens, firstScored: 1)]])
        #expect(results[1]?.score?.tokens.count == 249)
        #expect(stats.steps == 4)
    }

    @Test func refusesWhatItCannotDo() throws {
        let long = Array(repeating: Int32(1), count: 257)
        let cases: [(any EngineRequest, String)] = [
            (ScoreRequest(id: 1, tokens: [1, 2], firstScored: 0), "firstScored: must be 1 or more and below 2"),
            (ScoreRequest(id: 1, tokens: [1, 2], firstScored: 2), "firstScored: "),
            (ScoreRequest(id: 1, tokens: [], firstScored: 1), "firstScored: "),
            (ScoreRequest(id: 1, tokens: [1, 97], firstScored: 1), "tokens[1]: token 97"),
            (ScoreRequest(id: 1, tokens: [1, 2], endings: [3, 97], firstScored: 1), "endings[1]: token 97"),
            (ScoreRequest(id: 1, tokens: [1, 2], firstScored: 1, alternatives: 21), "alternatives: must be 0…20"),
            (ScoreRequest(id: 1, tokens: long + [1], firstScored: 1), "tokens: 257 tokens don't fit a context of 256"),
            (EmbeddingRequest(id: 1, tokens: []), "prompt: has no tokens"),
            (EmbeddingRequest(id: 1, tokens: [-1]), "tokens[0]: token -1"),
            (EmbeddingRequest(id: 1, tokens: long), "tokens: 257 tokens don't fit"),
        ]
        for (request, message) in cases {
            let error = try #require(EngineHarness().run(one: request).error, "\(message)")
            #expect(error.description.hasPrefix(message), "\(error)")
        }
        var harness = EngineHarness()
        harness.limits = EngineLimits(maximumSequences: 2, tokenBudget: 64, cacheBlocks: 16)
        #expect(try harness.run(one: ScoreRequest(id: 1, tokens: long, firstScored: 1)).score?.tokens.count == 256)
        harness.limits.cacheBlocks = 15
        let error = try harness.run(one: ScoreRequest(id: 1, tokens: long, firstScored: 1)).error
        #expect(error == .exceedsCache(neededBlocks: 16, cacheBlocks: 15))
    }

    @Test func brokenRowsFailTheirRequestAlone() throws {
        let good = ScoreRequest(id: 1, tokens: [1, 2, 3, 4], firstScored: 1)
        let (results, stats) = try EngineHarness().run([
            [
                good, ScoreRequest(id: 2, tokens: [1, 96, 3], firstScored: 1),
                EmbeddingRequest(id: 3, tokens: [96, 1]),
            ]
        ])
        #expect(results[2]?.error == .invalidLogits(position: 1))
        #expect(results[3]?.error == .invalidState)
        #expect(try results[1] == EngineHarness().run(one: good))
        #expect(stats.failed == 2 && stats.finished == 1)
    }

    @Test func cancellationLeavesNoPart() throws {
        var harness = EngineHarness()
        harness.limits = EngineLimits(maximumSequences: 2, tokenBudget: 8, cacheBlocks: 40)
        let tokens = (0..<60).map { Int32($0 + 1) }
        let (results, _) = try harness.run([
            [
                ScoreRequest(id: 1, tokens: tokens, firstScored: 1), EmbeddingRequest(id: 2, tokens: tokens),
                EmbeddingRequest(id: 3, tokens: tokens),
            ]
        ]) { step, engine in
            if step == 2 { for id in 1...3 as ClosedRange<UInt64> { engine.cancel(id) } }
        }
        for id in 1...3 as ClosedRange<UInt64> { #expect(results[id]?.error == .cancelled) }
    }
}

enum EngineRequestMix {
    /// A request of any kind, some with a common beginning.
    static func random(
        _ id: UInt64, vocabulary: Int, longest: Int, adapters: [LoRAAdapter?] = [nil], _ random: inout TestRandom
    ) -> any EngineRequest {
        let adapter = random.pick(adapters)
        let common = (0..<(longest / 2)).map { Int32($0 * 5 % (vocabulary - 2) + 1) }
        var tokens = random.chance(0.5) ? Array(common.prefix(random.int(0...common.count))) : []
        tokens += (0..<random.int(2...longest / 2)).map { _ in Int32(random.int(1...(vocabulary - 2))) }
        switch random.int(0...3) {
        case 0:
            var request = GenerationRequest.random(
                id: id, vocabulary: vocabulary, longestPrompt: longest / 2, longestOutput: longest / 2, &random)
            request.adapter = adapter
            return request
        case 1:
            return EmbeddingRequest(
                id: id, tokens: tokens, pooling: random.pick([.mean, .last]), normalizes: random.chance(0.5),
                adapter: adapter, priority: random.int(0...2))
        default:
            return ScoreRequest(
                id: id, tokens: tokens, endings: random.chance(0.3) ? [3, 1, 7] : [],
                firstScored: random.int(1...(tokens.count - 1)),
                alternatives: random.int(0...4), adapter: adapter, priority: random.int(0...2))
        }
    }
}
