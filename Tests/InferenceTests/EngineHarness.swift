// Runs requests through engines of any shape and collects what comes out.
import LLMKernels
import Testing

@testable import LLMInference

struct EngineHarness {
    var model: any StepModel = ToyModel()
    var limits = EngineLimits(maximumSequences: 8, tokenBudget: 32, cacheBlocks: 200)
    var team = ThreadTeam(threads: 2)

    struct Result: Equatable {
        var output: GenerationOutput?
        var score: ScoreOutput?
        var embedding: EmbeddingOutput?
        var error: EngineError?
        /// Token events in order.
        var events: [GeneratedToken] = []

        var isOpen: Bool { output == nil && score == nil && embedding == nil && error == nil }
    }

    /// Submits `arrivals[n]` before step n and steps until nothing is left to do.
    func run(
        _ arrivals: [[any EngineRequest]], beforeStep: (Int, Engine) -> Void = { _, _ in }
    ) throws -> (results: [UInt64: Result], stats: EngineStats) {
        let engine = try Engine(model: model, limits: limits, team: team)
        var results: [UInt64: Result] = [:]
        var step = 0
        while step < arrivals.count || engine.hasWork {
            for request in step < arrivals.count ? arrivals[step] : [] {
                do throws(EngineError) {
                    try engine.submit(request)
                    results[request.id] = Result()
                } catch {
                    results[request.id] = Result(error: error)
                }
            }
            beforeStep(step, engine)
            engine.step { event in
                let id = event.request
                #expect(results[id]?.isOpen == true, "after the end")
                switch event {
                case .token(let token): results[id]!.events.append(token)
                case .finished(_, var output):
                    // What the cache had depends on the company; nothing else may.
                    #expect((0..<output.usage.promptTokens + output.tokens.count).contains(output.usage.cachedTokens))
                    output.usage.cachedTokens = 0
                    results[id]!.output = output
                case .scored(_, var output):
                    #expect((0..<output.usage.promptTokens).contains(output.usage.cachedTokens))
                    output.usage.cachedTokens = 0
                    results[id]!.score = output
                case .embedded(_, var output):
                    #expect((0..<output.usage.promptTokens).contains(output.usage.cachedTokens))
                    output.usage.cachedTokens = 0
                    results[id]!.embedding = output
                case .failed(_, let error): results[id]!.error = error
                }
            }
            step += 1
        }
        let stats = engine.stats
        #expect(stats.running == 0 && stats.waiting == 0)
        #expect(stats.freeSlots == limits.maximumSequences, "slots leaked")
        #expect(stats.freeTokens == limits.cacheBlocks * TokenBlock.size, "blocks leaked")
        #expect(engine.sequences.isEmpty && engine.slots.allSatisfy { $0 == nil })
        return (results, stats)
    }

    func run(one request: any EngineRequest) throws -> Result {
        try run([[request]]).results[request.id]!
    }
}

/// Runs every request alone, then all of them in engines of random shape and in random order: the results must be the
/// same bytes. Every request must fit `blocks`. Goes on after `rounds` until so many sequences have been pre-empted, which
/// the loads decide. Returns the results and what the engines of all rounds went through.
func checkInvariance(
    _ model: any StepModel, _ requests: [any EngineRequest], rounds: Int, preemptions: Int = 0,
    slots slotRange: ClosedRange<Int> = 1...20, blocks: ClosedRange<Int>, _ random: inout TestRandom
) throws -> (alone: [EngineHarness.Result], total: EngineStats) {
    let alone = try requests.map { request in
        let result = try EngineHarness(model: model).run(one: request)
        if let request = request as? GenerationRequest { try checkShape(result, request) }
        return result
    }
    var total = EngineStats()
    for round in 0..<50 * rounds where round < rounds || total.preemptions < preemptions {
        let slots = random.int(slotRange)
        let limits = EngineLimits(
            maximumSequences: slots, tokenBudget: slots + random.int(0...90), cacheBlocks: random.int(blocks),
            draftRows: random.pick([0, 4, 8, 60]))
        let team = ThreadTeam(threads: random.int(1...3))
        var arrivals: [[any EngineRequest]] = Array(repeating: [], count: 20)
        for request in requests.shuffled(using: &random) { arrivals[random.int(0...19)].append(request) }
        let (results, stats) = try EngineHarness(model: model, limits: limits, team: team).run(arrivals)
        total.preemptions += stats.preemptions
        total.cachedTokens += stats.cachedTokens
        total.acceptedTokens += stats.acceptedTokens
        for (request, expected) in zip(requests, alone) where results[request.id] != expected {
            Issue.record("seed \(random.seed), round \(round), \(limits): request \(request) differs")
            return (alone, total)
        }
    }
    #expect(total.preemptions >= preemptions, "seed \(random.seed): the loads were meant to be tight")
    return (alone, total)
}

/// What must hold for every answer.
func checkShape(_ result: EngineHarness.Result, _ request: GenerationRequest) throws {
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

extension GenerationRequest {
    /// A random request for a vocabulary of `vocabulary` tokens, 1… being harmless.
    static func random(id: UInt64, vocabulary: Int, longestPrompt: Int, longestOutput: Int, _ random: inout TestRandom)
        -> GenerationRequest
    {
        var parameters = SamplingParameters(maximumTokens: random.int(1...longestOutput))
        if random.chance(0.7) {
            parameters.temperature = random.float(0.2...2)
            parameters.seed = random.next()
            if random.chance(0.4) { parameters.topK = random.int(1...50) }
            if random.chance(0.4) { parameters.topP = random.float(0.1...1) }
            if random.chance(0.3) { parameters.minP = random.float(0...0.5) }
        }
        if random.chance(0.3) { parameters.repetitionPenalty = random.float(0.8...1.5) }
        if random.chance(0.3) { parameters.presencePenalty = random.float(-2...2) }
        if random.chance(0.3) { parameters.frequencyPenalty = random.float(-2...2) }
        if random.chance(0.4) {
            parameters.stop = (0..<random.int(1...3)).map { _ in random.pick(["Ab", "b€", "é", " ", "Zk", "ab€ab"]) }
        }
        if random.chance(0.2) { parameters.stopTokens = [Int32(random.int(1...(vocabulary - 2)))] }
        if random.chance(0.4) { parameters.logprobs = random.int(0...5) }
        if random.chance(0.2) { parameters.ignoreEndOfText = true }
        return GenerationRequest(
            id: id, prompt: (0..<random.int(1...longestPrompt)).map { _ in Int32(random.int(1...(vocabulary - 2))) },
            parameters: parameters, priority: random.int(0...2))
    }
}
