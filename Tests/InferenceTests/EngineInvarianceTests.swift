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
        let alone = try Dictionary(
            uniqueKeysWithValues: requests.map { request in
                let result = try EngineHarness().run(one: request)
                try checkShape(result, request)
                return (request.id, result)
            })
        #expect(Set(alone.values.compactMap(\.output?.finishReason)) == [.stop, .length])
        var preemptions: UInt64 = 0
        for round in 0..<40 {
            let slots = random.int(1...20)
            var harness = EngineHarness()
            harness.team = ThreadTeam(threads: random.int(1...3))
            harness.limits = EngineLimits(
                maximumSequences: slots, tokenBudget: slots + random.int(0...90), cacheBlocks: random.int(12...18))
            var arrivals: [[GenerationRequest]] = Array(repeating: [], count: 20)
            for request in requests.shuffled(using: &random) { arrivals[random.int(0...19)].append(request) }
            let (results, stats) = try harness.run(arrivals)
            preemptions += stats.preemptions
            for request in requests where results[request.id] != alone[request.id] {
                Issue.record("seed \(random.seed), round \(round), \(harness.limits): request \(request) differs")
                return
            }
        }
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

    private func checkShape(_ result: EngineHarness.Result, _ request: GenerationRequest) throws {
        let output = try #require(result.output)
        #expect(result.events.map(\.token) == output.tokens)
        #expect(result.events.map(\.index) == Array(output.tokens.indices))
        #expect(result.events.map(\.text).joined() == output.text)
        #expect(output.usage.promptTokens == request.prompt.count)
        #expect(output.usage.completionTokens == output.tokens.count)
        #expect(output.tokens.count <= request.parameters.maximumTokens)
        #expect((output.stopMatch != nil) == (output.finishReason == .stop))
        for stop in request.parameters.stop { #expect(!output.text.contains(stop)) }
        if request.parameters.logprobs >= 0 {
            #expect(output.logprobs.map(\.token) == output.tokens)
            #expect(output.logprobs.allSatisfy { $0.top.count == request.parameters.logprobs && $0.logprob <= 0 })
        } else {
            #expect(output.logprobs.isEmpty)
        }
    }
}
