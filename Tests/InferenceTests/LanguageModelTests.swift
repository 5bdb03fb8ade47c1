// The engine with real forward passes: small random models of every family, and SmolLM2.
import Foundation
import LLMKernels
import LLMModels
import LLMTokenizers
import Testing

@testable import LLMInference

@Suite(.serialized) struct LanguageModelTests {
    /// The small models that the tests of LLMModels keep.
    private func smallModel(_ family: String, _ precision: ComputePrecision) throws -> ServedModel {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = folder.appending(path: "ModelsTests/Goldens/files/gguf/\(family).gguf").path
        let model = try LanguageModel(openModel(file), precision: precision, team: ThreadTeam(threads: 1))
        return ServedModel(model) { ToyDecoder() }
    }

    @Test(arguments: ["gpt2", "llama", "qwen2", "qwen3", "gemma3"], [ComputePrecision.served, .reference])
    func everyFamilyGivesTheSameBytesInAnyCompany(family: String, precision: ComputePrecision) throws {
        var random = TestRandom()
        print("\(family) invariance: seed \(random.seed)")
        let model = try smallModel(family, precision)
        let longest = min(60, model.contextLength / 2)
        let adapters = adapters(2, for: model, &random)
        let requests = (0..<32).map { id -> any EngineRequest in
            // Generations of full length, and everything else among them.
            if id % 2 == 0 {
                return EngineRequestMix.random(
                    UInt64(id), vocabulary: model.vocabularySize, longest: 2 * longest, adapters: adapters, &random)
            }
            var request = GenerationRequest.random(
                id: UInt64(id), vocabulary: model.vocabularySize, longestPrompt: longest, longestOutput: longest,
                &random)
            request.adapter = random.pick(adapters)
            return request
        }
        let blocks = TokenBlock.count(forTokens: 2 * longest)
        _ = try checkInvariance(model, requests, rounds: 6, blocks: blocks...blocks + 2, &random)
    }

    @Test func smolLM2GivesTheSameBytesInAnyCompanyAndAfterResumption() throws {
        var random = TestRandom()
        print("SmolLM2 invariance: seed \(random.seed)")
        let model = try smolLM2()
        let prompts = ["The capital of France is", "def fibonacci(n):", "Ein Apfel ist", "Q: What is 2 + 2?\nA:"]
        let requests = try (0..<16).map { index in
            var request = GenerationRequest.random(
                id: UInt64(index), vocabulary: model.vocabularySize, longestPrompt: 1, longestOutput: 24, &random)
            request.prompt = try tokenizer().encode(prompts[index % prompts.count], addSpecialTokens: true)
            return request
        }
        let (alone, _) = try checkInvariance(model, requests, rounds: 3, blocks: 5...10, &random)
        let resumed = zip(requests, alone).map { request, whole in
            var rest = request
            rest.resumeTokens = Array(whole.output!.tokens.prefix(random.int(0...whole.output!.tokens.count)))
            return rest
        }
        let (results, _) = try EngineHarness(model: model).run([resumed])
        for (request, whole) in zip(resumed, alone) {
            #expect(results[request.id]?.output == whole.output, "seed \(random.seed), request \(request)")
            #expect(results[request.id]?.events == Array(whole.events[request.resumeTokens.count...]))
        }
    }

    /// 200 requests of all sorts, alone and then in engines of 4 to 64 slots: greedy and sampled, on common beginnings and
    /// without, with three adapters and without, in chunks of any size, pre-empted, with guesses and without, on one to three threads, with keys and values
    /// of 16 and of 8 bits.
    @Test(arguments: [KVPrecision.float16, .int8])
    func twoHundredRequestsGiveTheSameBytes(cache: KVPrecision) throws {
        var random = TestRandom()
        print("SmolLM2, 200 requests, \(cache): seed \(random.seed)")
        let model = try smolLM2(cache: cache)
        let adapters = adapters(3, for: model, &random)
        let text = try tokenizer().encode(
            String(
                repeating: "The mill stands by the river. Its wheel turns day and night, and grinds what comes. ",
                count: 6),
            addSpecialTokens: true)
        let requests: [any EngineRequest] = (0..<200).map { id in
            var request = GenerationRequest.random(
                id: UInt64(id), vocabulary: model.vocabularySize, longestPrompt: 40, longestOutput: 20, &random)
            if random.chance(0.3) { request.parameters.temperature = 0 }
            // Several that outgrow the blocks they began with, so that some lose them.
            if id % 10 == 0 {
                request.parameters.maximumTokens = 60
                request.parameters.ignoreEndOfText = true
                (request.parameters.stop, request.parameters.stopTokens) = ([], [])
            }
            if random.chance(0.6) {
                request.prompt =
                    Array(text.prefix(random.pick([16, 70, 100]))) + request.prompt.prefix(random.int(0...20))
            }
            if random.chance(0.5) { request.adapter = random.pick(adapters) }
            guard random.chance(0.15), request.prompt.count > 1 else { return request }
            return ScoreRequest(
                id: UInt64(id), tokens: request.prompt, firstScored: random.int(1...request.prompt.count - 1),
                alternatives: random.int(0...3), adapter: request.adapter)
        }
        let (_, total) = try checkInvariance(
            model, requests, rounds: 2, preemptions: 1, slots: 4...64, blocks: 12...16, &random)
        #expect(total.cachedTokens > 0, "seed \(random.seed)")
    }

    @Test func smolLM2KnowsTheCapitalOfFrance() throws {
        let prompt = try tokenizer().encode(
            "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
            addSpecialTokens: true)
        let output = try #require(
            EngineHarness(model: smolLM2()).run(one: GenerationRequest(id: 1, prompt: prompt)).output)
        #expect(output.text.contains("Paris"), "\(output.text)")
        #expect(output.finishReason == .stop && output.stopMatch == .endOfText(2))
    }

    /// Adapters of some rank for every product, or for some, with values of the size that training gives; and none.
    private func adapters(_ count: Int, for model: ServedModel, _ random: inout TestRandom) -> [LoRAAdapter?] {
        let configuration = model.model.configuration
        let products: [LayerTensor] =
            (configuration.architecture == .gpt2 ? [.queryKeyValue] : [.query, .key, .value, .gate])
            + [.attentionOutput, .up, .down]
        let adapters = (0..<count).map { number in
            let rank = random.int(1...20), chosen = number == 0 ? products : [random.pick(products)]
            let updates = (0..<configuration.layerCount).flatMap { layer in
                chosen.map { tensor in
                    let shape = configuration.shape(.layer(layer, tensor))
                    return LowRankUpdate(
                        layer: layer, tensor: tensor, rank: rank,
                        a: (0..<rank * shape[1]).map { _ in random.float(-0.05...0.05) },
                        b: (0..<shape[0] * rank).map { _ in random.float(-0.05...0.05) })
                }
            }
            return LoRAAdapter(
                AdapterSource(path: "", digest: "\(number)", bytes: 1, updates: updates), for: configuration)
        }
        return [nil] + adapters
    }

    private func path() throws -> String {
        let folder = try #require(
            ProcessInfo.processInfo.environment["MILLRACE_MODELS"],
            "MILLRACE_MODELS does not name the folder with models")
        return folder + "/smollm2-135m-instruct.gguf"
    }

    private func tokenizer() throws -> Tokenizer { try openModel(path()).tokenizer() }

    private func smolLM2(cache: KVPrecision? = nil) throws -> ServedModel {
        let source = try openModel(path())
        return ServedModel(
            try LanguageModel(source, precision: .served, team: ThreadTeam(threads: 2)),
            tokenizer: try source.tokenizer(), cachePrecision: cache)
    }
}
