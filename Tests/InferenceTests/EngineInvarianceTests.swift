// The promise: the same request gives the same bytes however it is run.
import LLMKernels
import LLMModels
import Testing

@testable import LLMInference

@Suite struct EngineInvarianceTests {
    @Test func outputsDoNotDependOnCompany() throws {
        var random = TestRandom()
        print("engine invariance: seed \(random.seed)")
        let requests = (0..<60).map {
            GenerationRequest.random(id: UInt64($0), vocabulary: 97, longestPrompt: 120, longestOutput: 60, &random)
        }
        let (alone, _) = try checkInvariance(
            ToyModel(), requests, rounds: 40, preemptions: 50, blocks: 12...18, &random)
        #expect(Set(alone.compactMap(\.output?.finishReason)) == [.stop, .length])
    }

    @Test func commonBeginningsChangeNothing() throws {
        var random = TestRandom()
        print("engine prefixes: seed \(random.seed)")
        let preambles = (0..<3).map { _ in (0..<90).map { _ in Int32(random.int(1...95)) } }
        let requests = (0..<60).map { id in
            var request = GenerationRequest.random(
                id: UInt64(id), vocabulary: 97, longestPrompt: 20, longestOutput: 60, &random)
            request.prompt = random.pick(preambles).prefix(random.int(0...90)) + request.prompt
            request.adapter = random.pick([nil, "a", "b"]).map(ToyModel.adapter)
            return request
        }
        _ = try checkInvariance(ToyModel(), requests, rounds: 40, blocks: 12...30, &random)
    }

    /// However they arrive, a common beginning is computed once.
    @Test(arguments: [1, 7, 32])
    func aPreambleIsComputedOnce(slots: Int) throws {
        let preamble = (0..<160).map { Int32($0 % 90 + 1) }
        let requests = (0..<50).map { id in
            GenerationRequest(
                id: UInt64(id), prompt: preamble + [Int32(id + 1), 5, 9],
                parameters: SamplingParameters(maximumTokens: 4, ignoreEndOfText: true))
        }
        var harness = EngineHarness()
        harness.limits = EngineLimits(maximumSequences: slots, tokenBudget: 64, cacheBlocks: 400)
        let (_, stats) = try harness.run([Array(requests[..<20]), [], Array(requests[20...])])
        // Of each request three rows of its own and three fed back, of which four gave a token.
        #expect(stats.prefillTokens == 160 + 50 * (3 + 3 - 4))
        #expect(stats.cachedTokens == 49 * 160)
    }

    /// Prefixes are shared with the same adapter only, also with one that was opened a second time.
    @Test func adaptersHavePrefixesOfTheirOwn() throws {
        let prompt = (0..<48).map { Int32($0 + 1) }
        let requests = ["a", nil, "b", "a", nil].enumerated().map { id, digest in
            GenerationRequest(
                id: UInt64(id), prompt: prompt, parameters: SamplingParameters(maximumTokens: 8, temperature: 1),
                adapter: digest.map(ToyModel.adapter))
        }
        let (results, stats) = try EngineHarness().run([requests])
        #expect(stats.cachedTokens == 2 * 32)
        #expect(results[0]?.output?.tokens == results[3]?.output?.tokens)
        #expect(results[1]?.output?.tokens == results[4]?.output?.tokens)
        #expect(Set((0..<3).map { results[$0]!.output!.tokens }).count == 3)
    }

    @Test func anAdapterOfAnotherModelIsRefused() throws {
        let other = ModelConfiguration(
            architecture: .llama, vocabularySize: 97, contextLength: 256, hiddenSize: 6, layerCount: 2, headCount: 1,
            keyValueHeadCount: 1, headSize: 6, intermediateSize: 6)
        let adapter = LoRAAdapter(AdapterSource(path: "", digest: "c", bytes: 1, updates: []), for: other)
        let result = try EngineHarness().run(one: GenerationRequest(id: 1, prompt: [1], adapter: adapter))
        #expect(result.error == .foreignAdapter)
    }

    @Test func resumesFromEveryPrefix() throws {
        var random = TestRandom()
        print("engine resume: seed \(random.seed)")
        var harness = EngineHarness()
        harness.limits = EngineLimits(maximumSequences: 3, tokenBudget: 7, cacheBlocks: 14)
        for id in 0..<40 {
            let request = GenerationRequest.random(
                id: UInt64(id), vocabulary: 97, longestPrompt: 40, longestOutput: 30, &random)
            let whole = try harness.run(one: request)
            let tokens = whole.output!.tokens
            // All prefixes together, so that they also disturb each other.
            let resumed = (0...tokens.count).map { count in
                var copy = request
                copy.id = UInt64(count)
                copy.resumeTokens = Array(tokens.prefix(count))
                return copy
            }
            let (results, _) = try harness.run([resumed])
            for count in 0...tokens.count {
                let result = results[UInt64(count)]!
                let expected = whole.events[count...].map { event in
                    var event = event
                    event.request = UInt64(count)
                    return event
                }
                if result.output != whole.output || result.events != expected {
                    Issue.record("seed \(random.seed), request \(request) resumed after \(count) tokens differs")
                    return
                }
            }
        }
    }

    /// Requests cancelled at random moments, as a draining worker does, and resumed elsewhere give the whole answer;
    /// those beside them notice nothing.
    @Test func cancelledRequestsResumeInAnotherEngine() throws {
        var random = TestRandom()
        print("engine cancel: seed \(random.seed)")
        let requests = (0..<40).map {
            GenerationRequest.random(id: UInt64($0), vocabulary: 97, longestPrompt: 60, longestOutput: 50, &random)
        }
        let whole = try EngineHarness().run([requests]).results
        for _ in 0..<15 {
            var harness = EngineHarness()
            harness.limits = EngineLimits(
                maximumSequences: 6, tokenBudget: random.int(6...40), cacheBlocks: random.int(8...20))
            let cancelSteps = requests.map { _ in random.int(0...200) }
            let (first, _) = try harness.run([requests]) { step, engine in
                for request in requests where cancelSteps[Int(request.id)] == step { engine.cancel(request.id) }
            }
            var resumed: [GenerationRequest] = []
            for request in requests {
                let output = try #require(first[request.id]?.output)
                if output.finishReason == .cancelled {
                    var rest = request
                    rest.resumeTokens = output.tokens
                    resumed.append(rest)
                } else {
                    #expect(output == whole[request.id]?.output, "seed \(random.seed)")
                }
            }
            let (second, _) = try harness.run([resumed])
            for request in resumed {
                let events = first[request.id]!.events + second[request.id]!.events
                #expect(second[request.id]?.output == whole[request.id]?.output, "seed \(random.seed)")
                #expect(events == whole[request.id]?.events, "seed \(random.seed)")
            }
        }
    }
}
