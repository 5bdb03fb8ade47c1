// Structured output through the engine: valid at every length, the same bytes in any company and after resumption.
import Foundation
import JSON
import LLMConstraints
import LLMKernels
import LLMModels
import LLMTokenizers
import Testing

@testable import LLMInference

@Suite(.serialized) struct EngineConstraintTests {
    private static let toyVocabulary = Vocabulary(spellings: (0..<97).map { ToyModel.bytes(of: $0) })

    private func toyRequests(_ count: Int, _ random: inout TestRandom) throws -> [GenerationRequest] {
        let constraints = try [
            ConstraintSource.regex("([A-Z][a-k]| ){3,}"), .regex("(ab€)*( |é)+"), .choice(["Aa", " ", "ab€ab€ab€"]),
            .grammar("root ::= \" \" root \" \" | \"ab€\""),
        ].map { source in try TokenConstraint(source, vocabulary: Self.toyVocabulary) }
        return (0..<count).map { id in
            var request = GenerationRequest.random(
                id: UInt64(id), vocabulary: 97, longestPrompt: 30, longestOutput: 40, &random)
            let constraint = random.pick(constraints)
            request.constraint = constraint
            request.parameters.maximumTokens += constraint.minimumTokens
            request.parameters.stop = []
            request.parameters.stopTokens = []
            request.parameters.ignoreEndOfText = false
            return request
        }
    }

    @Test func constrainedAnswersAreTheSameInAnyCompanyAndAfterResumption() throws {
        var random = TestRandom()
        print("constraints: seed \(random.seed)")
        let requests = try toyRequests(80, &random)
        let model = ToyModel()
        let (alone, _) = try checkInvariance(model, requests, rounds: 20, preemptions: 1, blocks: 6...12, &random)
        let resumed = zip(requests, alone).map { request, whole in
            var rest = request
            rest.resumeTokens = Array(whole.output!.tokens.prefix(random.int(0...whole.output!.tokens.count)))
            return rest
        }
        let (results, _) = try EngineHarness(model: model).run([resumed])
        for (request, whole) in zip(resumed, alone) {
            #expect(results[request.id]?.output == whole.output, "seed \(random.seed), request \(request)")
        }
    }

    @Test func whatCannotGoWithAConstraintIsRefused() throws {
        let constraint = try TokenConstraint(.choice(["ab€ab€"]), vocabulary: Self.toyVocabulary)
        func error(_ change: (inout GenerationRequest) -> Void) throws -> EngineError? {
            var request = GenerationRequest(id: 1, prompt: [1], constraint: constraint)
            change(&request)
            return try EngineHarness().run(one: request).error
        }
        #expect(try error { _ in } == nil)
        #expect(
            try error { $0.parameters.maximumTokens = 1 } == .constraintTooLong(neededTokens: 2, availableTokens: 1))
        #expect(
            try error { $0.prompt = Array(repeating: 1, count: 255) }
                == .constraintTooLong(neededTokens: 2, availableTokens: 1))
        for change: (inout GenerationRequest) -> Void in [
            { $0.parameters.stop = ["x"] }, { $0.parameters.stopTokens = [5] },
            { $0.parameters.ignoreEndOfText = true },
        ] {
            guard case .invalidParameter(_, let reason)? = try error(change) else {
                Issue.record("not refused")
                continue
            }
            #expect(reason.contains("constraint"))
        }
        guard case .invalidResume? = try error({ $0.resumeTokens = [3] }) else {
            Issue.record("a token that is not allowed was resumed")
            return
        }
    }

    @Test func anAnswerEndsWhereNothingMayFollow() throws {
        let constraint = try TokenConstraint(.choice(["ab€ab€"]), vocabulary: Self.toyVocabulary)
        let output = try #require(
            EngineHarness(model: ToyModel()).run(
                one: GenerationRequest(id: 1, prompt: [1], constraint: constraint)
            ).output)
        // Two tokens of 256 were needed.
        #expect(output.text == "ab€ab€" && output.finishReason == .stop && output.stopMatch == .constraint)
    }

    // MARK: SmolLM2

    private static let schema = """
        {"type": "object", "required": ["name", "population", "kind", "landmarks"], "additionalProperties": false,
         "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 30},
                        "population": {"type": "integer", "minimum": 1000, "maximum": 50000000},
                        "kind": {"enum": ["city", "town"]},
                        "landmarks": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3}}}
        """

    private func check(_ text: String, _ note: Comment) throws {
        let value = try JSONValue(parsing: text)
        #expect(Array(try #require(value.objectValue).keys) == ["name", "population", "kind", "landmarks"], note)
        #expect((1...30).contains(value["name"]?.stringValue?.unicodeScalars.count ?? 0), note)
        #expect((1000...50_000_000).contains(value["population"]?.intValue ?? 0), note)
        #expect(["city", "town"].contains(value["kind"]?.stringValue), note)
        #expect((1...3).contains(value["landmarks"]?.arrayValue?.count ?? 0), note)
    }

    @Test func smolLM2WritesValidJSONAtEveryLength() throws {
        let folder = try #require(
            ProcessInfo.processInfo.environment["MILLRACE_MODELS"],
            "MILLRACE_MODELS does not name the folder with models")
        let source = try openModel(folder + "/smollm2-135m-instruct.gguf")
        let tokenizer = try source.tokenizer()
        let model = ServedModel(
            try LanguageModel(source, precision: .served, team: ThreadTeam(threads: 2)), tokenizer: tokenizer)
        let vocabulary = Vocabulary(tokenizer, size: model.vocabularySize)
        let constraint = try TokenConstraint(
            .jsonSchema(try JSONValue(parsing: Self.schema)), vocabulary: vocabulary)
        let least = constraint.minimumTokens
        let prompt = tokenizer.encode(
            "<|im_start|>user\nDescribe Paris as JSON.<|im_end|>\n<|im_start|>assistant\n", addSpecialTokens: true)
        var requests: [GenerationRequest] = []
        for temperature: Float in [0, 0.7, 1.5] {
            for more in [0, 1, 2, 3, 5, 9, 17, 40, 100] {
                requests.append(
                    GenerationRequest(
                        id: UInt64(requests.count), prompt: prompt,
                        parameters: SamplingParameters(
                            maximumTokens: least + more, temperature: temperature, seed: UInt64(more)),
                        constraint: constraint))
            }
        }
        let harness = EngineHarness(
            model: model, limits: EngineLimits(maximumSequences: 27, tokenBudget: 256, cacheBlocks: 400))
        let (results, _) = try harness.run([requests])
        var ended: [FinishReason: Int] = [:]
        for request in requests {
            let output = try #require(results[request.id]?.output)
            ended[output.finishReason, default: 0] += 1
            try check(output.text, "\(request.parameters): \(output.text)")
        }
        print("\(least) tokens at least; \(ended)")
        // Those with no token to spare were led to their end.
        for request in requests where request.parameters.maximumTokens == least {
            #expect(results[request.id]?.output?.finishReason == .length)
        }
        #expect(results[8]?.output?.finishReason == .stop)
        // And each the same when it is alone.
        for request in [requests[4], requests[16], requests[26]] {
            #expect(try harness.run(one: request).output == results[request.id]?.output)
        }
        var short = requests[0]
        short.parameters.maximumTokens = least - 1
        #expect(
            try harness.run(one: short).error
                == .constraintTooLong(neededTokens: least, availableTokens: least - 1))
    }
}
