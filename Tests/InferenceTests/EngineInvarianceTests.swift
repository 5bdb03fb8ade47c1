// The promise: the same request gives the same bytes however it is run.
import LLMKernels
import Testing

@testable import LLMInference

@Suite struct EngineInvarianceTests {
    @Test func outputsDoNotDependOnCompany() throws {
        var random = TestRandom()
        print("engine invariance: seed \(random.seed)")
        let requests = (0..<60).map {
            GenerationRequest.random(id: UInt64($0), vocabulary: 97, longestPrompt: 120, longestOutput: 60, &random)
        }
        let (alone, preemptions) = try checkInvariance(ToyModel(), requests, rounds: 40, blocks: 12...18, &random)
        #expect(Set(alone.compactMap(\.output?.finishReason)) == [.stop, .length])
        #expect(preemptions > 50, "the loads were meant to be tight")
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
