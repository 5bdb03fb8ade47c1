// constraints: what structured output costs, as masks alone and inside of the engine.
import ArgumentParser
import Foundation
import JSON
import LLMConstraints
import LLMInference
import LLMKernels
import LLMModels
import LLMTokenizers

struct ConstraintBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "constraints",
        abstract: "Decoding with a JSON schema against decoding without, and the time of the masks; greedy.")

    @OptionGroup var options: ModelOptions
    @Option(help: "Sequences of a batch.")
    var batch = 1
    @Option(help: "Tokens to generate for each of them.")
    var generate = 64
    @OptionGroup var bench: BenchOptions

    private static let prompt = "Write fifty people with name, age and address as JSON.\n"

    /// So many people that no answer ends while it is measured.
    private static let schemas: [(name: String, schema: String)] = [
        (
            "free strings",
            #"{"type": "array", "minItems": 50, "items": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "address": {"type": "string"}}, "required": ["name", "age", "address"], "additionalProperties": false}}"#
        ),
        (
            "bounded strings",
            #"{"type": "array", "minItems": 50, "items": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 60}, "age": {"type": "integer", "minimum": 0, "maximum": 120}, "address": {"type": "string", "maxLength": 200}}, "required": ["name", "age", "address"], "additionalProperties": false}}"#
        ),
    ]

    func validate() throws {
        guard (1...4096).contains(batch), (2...2000).contains(generate) else {
            throw ValidationError("--batch must be 1 to 4096, --generate 2 to 2000")
        }
    }

    func run() throws {
        let team = ThreadTeam(threads: options.threads)
        let (served, tokenizer) = try options.load(team)
        let vocabulary = Vocabulary(tokenizer, size: served.vocabularySize)
        let prompt = tokenizer.encode(Self.prompt, addSpecialTokens: true)
        for (name, schema) in Self.schemas {
            let start = Date()
            let constraint = try TokenConstraint(
                .jsonSchema(try JSONValue(parsing: schema)), vocabulary: vocabulary)
            let compile = Date().timeIntervalSince(start)
            // The first run meets every state for the first time.
            let first = try decode(served, prompt, constraint, team)
            var free: [Run] = []
            var constrained: [Run] = []
            for _ in 0..<5 {
                free.append(try decode(served, prompt, nil, team))
                constrained.append(try decode(served, prompt, constraint, team))
            }
            show(name, compile, first, constrained, free, maskTimes(constraint, first.tokens))
        }
    }

    private struct Run {
        var tokensPerSecond: Double
        /// Time of a step outside of the model, per token.
        var microsecondsOutside: Double
        /// Of the first sequence.
        var tokens: [Int32]
    }

    private func decode(
        _ model: ServedModel, _ prompt: [Int32], _ constraint: TokenConstraint?, _ team: ThreadTeam
    ) throws -> Run {
        let longest = max(generate, constraint?.minimumTokens ?? 0) + 600
        let perSequence = (prompt.count + longest) / KVLayout.blockSize + 1
        let engine = try Engine(
            model: model,
            limits: EngineLimits(
                maximumSequences: batch, tokenBudget: max(256, batch), cacheBlocks: perSequence * batch, draftRows: 0),
            team: team)
        for sequence in 0..<batch {
            try engine.submit(
                GenerationRequest(
                    id: UInt64(sequence), prompt: prompt,
                    parameters: SamplingParameters(maximumTokens: longest, ignoreEndOfText: constraint == nil),
                    constraint: constraint))
        }
        var begun = 0
        var tokens: [Int32] = []
        while begun < batch {
            engine.step { event in
                guard case .token(let token) = event else { return }
                if token.index == 0 { begun += 1 }
                if token.request == 0 { tokens.append(token.token) }
            }
        }
        let before = engine.stats
        let start = Date()
        for _ in 0..<generate {
            engine.step { if case .token(let token) = $0, token.request == 0 { tokens.append(token.token) } }
        }
        let seconds = Date().timeIntervalSince(start)
        let after = engine.stats
        let count = Double(after.generatedTokens - before.generatedTokens)
        let outside =
            Double(after.stepNanoseconds - before.stepNanoseconds)
            - Double(after.forwardNanoseconds - before.forwardNanoseconds)
        return Run(tokensPerSecond: count / seconds, microsecondsOutside: outside / count / 1e3, tokens: tokens)
    }

    /// Seconds for each mask of an answer whose masks have all been met.
    private func maskTimes(_ constraint: TokenConstraint, _ tokens: [Int32]) -> [Double] {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: constraint.maskWords)
        defer { words.deallocate() }
        let matcher = ConstraintMatcher(constraint)
        var times: [Double] = []
        for token in tokens {
            let start = DispatchTime.now().uptimeNanoseconds
            for _ in 0..<20 { matcher.fillMask(words, remaining: 100_000) }
            times.append(Double(DispatchTime.now().uptimeNanoseconds - start) / 20 * 1e-9)
            precondition(matcher.accept(token), "the engine allowed it")
        }
        return times.sorted()
    }

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    private func show(
        _ name: String, _ compile: Double, _ first: Run, _ constrained: [Run], _ free: [Run], _ masks: [Double]
    ) {
        let rates = (median(constrained.map(\.tokensPerSecond)), median(free.map(\.tokensPerSecond)))
        let outside = (median(constrained.map(\.microsecondsOutside)), median(free.map(\.microsecondsOutside)))
        let slowest = (masks.last ?? 0) * 1e6
        bench.show(
            [
                "model": .string(options.model), "constraint": .string(name), "batch": .integer(Int64(batch)),
                "generate": .integer(Int64(generate)), "threads": .integer(Int64(options.threads)),
                "decode_tokens_per_second": .number(rates.0), "free_decode_tokens_per_second": .number(rates.1),
                "first_decode_tokens_per_second": .number(first.tokensPerSecond),
                "sampling_microseconds": .number(outside.0), "free_sampling_microseconds": .number(outside.1),
                "first_sampling_microseconds": .number(first.microsecondsOutside),
                "compile_milliseconds": .number(compile * 1e3), "mask_microseconds": .number(median(masks) * 1e6),
                "slowest_mask_microseconds": .number(slowest),
            ],
            text: String(
                format:
                    "%@, batch %d: %.1f tokens/s, free %.1f, first time %.1f; outside of the model %.1f µs a token, "
                    + "free %.1f, first time %.1f; compiled in %.1f ms, mask %.2f µs, slowest %.1f µs",
                name, batch, rates.0, rates.1, first.tokensPerSecond, outside.0, outside.1, first.microsecondsOutside,
                compile * 1e3, median(masks) * 1e6, slowest))
    }
}
