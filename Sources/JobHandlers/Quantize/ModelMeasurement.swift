// What a model is worth, measured: size, perplexity of a text, speed.
import Foundation
import JSON
import LLMInference
import LLMKernels
import LLMModels
import LLMTokenizers
import OrderedCollections

struct ModelMeasurement: Sendable {
    var bytes: Int64
    var bitsPerWeight: Double
    var digest: String
    /// Nil without a text.
    var perplexity: Double?
    /// Generated tokens per second, one sequence.
    var tokensPerSecond: Double

    struct Cancelled: Error {}

    /// Tokens of a text that are measured at most, and tokens of one window.
    private static let mostTokens = 8192
    private static let window = 1024

    /// Reads the file and runs the model.
    init(
        _ source: any ModelSource, bitsPerWeight: Double, text: String?, team: ThreadTeam, goOn: () -> Bool
    ) throws {
        digest = try source.digest
        bytes = Int64(source.byteCount)
        self.bitsPerWeight = bitsPerWeight
        let tokenizer = try source.tokenizer()
        let model = try LanguageModel(source, precision: .served, team: team)
        let engine = try Engine(
            model: ServedModel(model, tokenizer: tokenizer),
            limits: EngineLimits(maximumSequences: 8, tokenBudget: 256, cacheBlocks: 8 * 65, draftRows: 0), team: team)
        guard goOn() else { throw Cancelled() }
        tokensPerSecond = try Self.speed(engine, model, goOn)
        perplexity = try text.map { try Self.perplexity($0, engine, model, tokenizer, goOn) }
    }

    var json: JSONValue {
        var members: JSONValue = [
            "bytes": .integer(bytes), "bits_per_weight": .number(Self.short(bitsPerWeight, 100)),
            "tokens_per_second": .number(Self.short(tokensPerSecond, 10)), "digest": .string(digest),
        ]
        if let perplexity, case .object(var object) = members {
            object["perplexity"] = .number(Self.short(perplexity, 10_000))
            members = .object(object)
        }
        return members
    }

    private static func short(_ number: Double, _ unit: Double) -> Double { (number * unit).rounded() / unit }

    /// Of 64 tokens after 32, the better of two runs: the first one touches the memory.
    private static func speed(_ engine: Engine, _ model: LanguageModel, _ goOn: () -> Bool) throws -> Double {
        var best = 0.0
        for run in 0..<2 {
            let tokens = (0..<32).map { Int32((($0 + run * 40) * 7919) % model.configuration.vocabularySize) }
            let parameters = SamplingParameters(maximumTokens: 64, ignoreEndOfText: true)
            try engine.submit(GenerationRequest(id: UInt64(run), prompt: tokens, parameters: parameters))
            var count = 0
            var start = ContinuousClock.now
            while engine.hasWork {
                guard goOn() else { throw Cancelled() }
                engine.step {
                    guard case .token = $0 else { return }
                    count += 1
                    if count == 1 { start = .now }
                }
            }
            best = max(best, Double(count - 1) / ((ContinuousClock.now - start) / .seconds(1)))
        }
        return best
    }

    /// Disjoint windows, each with the begin-of-text token first where the model wants one: as `jobbench perplexity`.
    private static func perplexity(
        _ text: String, _ engine: Engine, _ model: LanguageModel, _ tokenizer: Tokenizer, _ goOn: () -> Bool
    ) throws -> Double {
        let begin = tokenizer.addsBeginOfText ? tokenizer.beginOfText.map { [$0] } ?? [] : []
        let tokens = tokenizer.encode(text, addSpecialTokens: false, parseSpecialTokens: false).prefix(mostTokens)
        let windows = TextWindows(
            tokens: tokens.count, window: min(window, model.configuration.contextLength), stride: nil,
            hasFirst: !begin.isEmpty
        ).windows
        var sum = 0.0
        var count = 0
        for (index, window) in windows.enumerated() {
            let part = begin + tokens[window.tokens]
            try engine.submit(ScoreRequest(id: UInt64(1000 + index), tokens: part, firstScored: 1))
            var failure: EngineError?
            while engine.hasWork {
                guard goOn() else { throw Cancelled() }
                engine.step { event in
                    switch event {
                    case .scored(_, let output):
                        sum -= output.logprob
                        count += part.count - 1
                    case .failed(_, let error): failure = error
                    default: break
                    }
                }
            }
            if let failure { throw failure }
        }
        guard count > 0 else { throw InputError(field: "input.text", reason: "has fewer than two tokens") }
        return exp(sum / Double(count))
    }
}
