import LLMKernels
import Testing

@testable import LLMInference

@Suite struct EngineTests {
    private func request(
        _ id: UInt64, _ prompt: [Int32] = [1, 2, 3], _ change: (inout GenerationRequest) -> Void = { _ in }
    )
        -> GenerationRequest
    {
        var request = GenerationRequest(id: id, prompt: prompt)
        request.parameters.maximumTokens = 12
        request.parameters.ignoreEndOfText = true
        change(&request)
        return request
    }

    @Test func refusesEachBadRequestWithTheFieldsName() throws {
        let cases: [(GenerationRequest, String)] = [
            (request(1, []), "prompt: has no tokens"),
            (request(1, [1, 97]), "prompt[1]: token 97 is outside of the vocabulary of 97"),
            (request(1, [-1]), "prompt[0]: token -1"),
            (request(1, Array(repeating: 1, count: 256)), "prompt: 256 tokens leave no room"),
            (request(1) { $0.resumeTokens = [5, 500] }, "resumeTokens[1]: token 500"),
            (request(1) { $0.resumeTokens = Array(repeating: 5, count: 13) }, "resumeTokens: the answer ends after 12"),
            (request(1) { $0.parameters.stopTokens = [99] }, "stopTokens[0]: token 99"),
            (request(1) { $0.parameters.maximumTokens = 0 }, "maximumTokens: must be 1 or more, is 0"),
            (request(1) { $0.parameters.temperature = -1 }, "temperature: "),
            (request(1) { $0.parameters.temperature = .nan }, "temperature: "),
            (request(1) { $0.parameters.temperature = .infinity }, "temperature: "),
            (request(1) { $0.parameters.topK = -1 }, "topK: "),
            (request(1) { $0.parameters.topP = 0 }, "topP: "),
            (request(1) { $0.parameters.topP = 1.1 }, "topP: "),
            (request(1) { $0.parameters.minP = -0.1 }, "minP: "),
            (request(1) { $0.parameters.repetitionPenalty = 0 }, "repetitionPenalty: "),
            (request(1) { $0.parameters.presencePenalty = 2.1 }, "presencePenalty: "),
            (request(1) { $0.parameters.frequencyPenalty = .nan }, "frequencyPenalty: "),
            (request(1) { $0.parameters.stop = ["a", ""] }, "stop[1]: must not be empty"),
            (request(1) { $0.parameters.stop = [String(repeating: "x", count: 1025)] }, "stop[0]: at most 1024 bytes"),
            (request(1) { $0.parameters.stop = Array(repeating: "x", count: 65) }, "stop: at most 64"),
            (request(1) { $0.parameters.stopTokens = Array(repeating: 1, count: 257) }, "stopTokens: at most 256"),
            (request(1) { $0.parameters.logprobs = 21 }, "logprobs: "),
            (request(1) { $0.parameters.logprobs = -2 }, "logprobs: "),
        ]
        let expected = try EngineHarness().run(one: request(9))
        for (bad, message) in cases {
            let (results, _) = try EngineHarness().run([[request(9)], [bad]])
            let error = try #require(results[1]?.error, "\(message)")
            #expect(error.description.hasPrefix(message), "\(error)")
            #expect(results[9] == expected, "the neighbour")
        }
    }

    @Test func refusesWhatNeverFitsTheCacheAndWhatIsThereAlready() throws {
        var harness = EngineHarness()
        harness.limits = EngineLimits(maximumSequences: 2, tokenBudget: 8, cacheBlocks: 2, maximumWaiting: 2)
        let big = try harness.run(one: request(1) { $0.parameters.maximumTokens = 31 })
        #expect(big.error == .exceedsCache(neededBlocks: 3, cacheBlocks: 2))
        #expect(try harness.run(one: request(1) { $0.parameters.maximumTokens = 30 }).output?.tokens.count == 30)
        // The context bounds absurd lengths; here it needs more blocks than there are.
        let endless = try harness.run(one: request(1) { $0.parameters.maximumTokens = .max })
        #expect(endless.error == .exceedsCache(neededBlocks: 16, cacheBlocks: 2))
        let engine = try Engine(model: ToyModel(), limits: harness.limits, team: ThreadTeam(threads: 2))
        try engine.submit(request(1))
        #expect(throws: EngineError.duplicateRequest(1)) { try engine.submit(request(1)) }
        try engine.submit(request(2))
        #expect(throws: EngineError.busy(waiting: 2)) { try engine.submit(request(3)) }
    }

    @Test(arguments: [
        (EngineLimits(maximumSequences: 0, cacheBlocks: 1), "maximumSequences"),
        (EngineLimits(maximumSequences: 8, tokenBudget: 7, cacheBlocks: 1), "tokenBudget"),
        (EngineLimits(cacheBlocks: 0), "cacheBlocks"), (EngineLimits(cacheBlocks: .max), "cacheBlocks"),
        (EngineLimits(cacheBlocks: 1, maximumWaiting: 0), "maximumWaiting"),
    ])
    func refusesImpossibleLimits(limits: EngineLimits, field: String) throws {
        let error = try #require(throws: EngineError.self) {
            try Engine(model: ToyModel(), limits: limits, team: ThreadTeam(threads: 2))
        }
        #expect(error.description.hasPrefix(field + ": "))
    }

    @Test func brokenLogitsFailTheirRequestAlone() throws {
        let good = (0..<6).map { id in request(UInt64(id), [Int32(id + 1), 7, 9]) { $0.parameters.temperature = 1 } }
        let expected = try EngineHarness().run([good]).results
        let poisoned = request(100, [4, 96, 5]) { $0.parameters.logprobs = 2 }
        let (results, stats) = try EngineHarness().run([Array(good[..<3]), [poisoned], Array(good[3...])])
        #expect(results[100]?.error == .invalidLogits(position: 2))
        #expect(results[100]?.events == [])
        for request in good { #expect(results[request.id] == expected[request.id]) }
        #expect(stats.failed == 1 && stats.finished == 6)
    }

    @Test func endsForEachReason() throws {
        let free = try EngineHarness().run(one: request(1) { $0.parameters.maximumTokens = 40 }).output!
        #expect(free.finishReason == .length && free.stopMatch == nil && free.tokens.count == 40)

        let byToken = try EngineHarness().run(one: request(1) { $0.parameters.stopTokens = [free.tokens[6]] }).output!
        let place = free.tokens.firstIndex(of: free.tokens[6])!
        #expect(byToken.tokens == Array(free.tokens[...place]))
        #expect(byToken.stopMatch == .token(free.tokens[6]) && byToken.finishReason == .stop)
        #expect(free.text.hasPrefix(byToken.text) || byToken.text.hasSuffix("\u{FFFD}"))

        var harness = EngineHarness()
        harness.model = ToyModel(endOfTextBias: 100)
        let ended = try harness.run(one: request(1) { $0.parameters.ignoreEndOfText = false }).output!
        #expect(ended.tokens == [ToyModel.endOfText] && ended.text == "")
        #expect(ended.stopMatch == .endOfText(ToyModel.endOfText))

        harness.model = ToyModel(contextLength: 20)
        let context = try harness.run(
            one: request(1, Array(repeating: 3, count: 15)) { $0.parameters.maximumTokens = 40 })
        #expect(context.output?.tokens.count == 5 && context.output?.finishReason == .length)
    }

    @Test func cancelsWaitingAndRunningRequests() throws {
        var harness = EngineHarness()
        harness.limits.maximumSequences = 1
        let whole = try harness.run(one: request(1))
        let (results, _) = try harness.run([[request(1), request(2), request(3)]]) { step, engine in
            if step == 5 {
                engine.cancel(1)
                engine.cancel(2)
                engine.cancel(1)
                engine.cancel(77)
            }
        }
        #expect(results[1]?.output?.finishReason == .cancelled)
        #expect(results[1]?.output?.tokens == Array(whole.output!.tokens.prefix(5)))
        #expect(results[1]?.events.map(\.text).joined() == results[1]?.output?.text)
        #expect(results[2]?.output?.finishReason == .cancelled && results[2]?.output?.tokens == [])
        #expect(results[3]?.output?.tokens == whole.output?.tokens)
    }

    @Test func aCancelledOutputResumesToTheWholeOne() throws {
        let full = request(1) {
            $0.parameters.temperature = 1.2; $0.parameters.seed = 5; $0.parameters.logprobs = 3
        }
        let whole = try EngineHarness().run(one: full)
        let (results, _) = try EngineHarness().run([[full]]) { step, engine in if step == 4 { engine.cancel(1) } }
        var rest = full
        rest.resumeTokens = results[1]!.output!.tokens
        #expect(rest.resumeTokens.count == 4)
        #expect(try EngineHarness().run(one: rest).output == whole.output)
    }

    @Test func countsItsWork() throws {
        let (_, stats) = try EngineHarness().run([[request(1), request(2)]])
        #expect(stats.generatedTokens == 24 && stats.finished == 2 && stats.steps == 12)
        // 2 × (3 prompt rows + 11 fed back) rows, of which 24 gave a token.
        #expect(stats.prefillTokens == 28 - 24)
        #expect(stats.stepNanoseconds >= stats.forwardNanoseconds && stats.tokensPerSecond > 0)
    }
}
