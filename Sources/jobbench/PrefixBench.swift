// prefix: what a common beginning of prompts saves.
import ArgumentParser
import Foundation
import JSON
import LLMInference
import LLMKernels
import LLMModels
import LLMTokenizers

struct PrefixBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prefix",
        abstract: "Requests that share a preamble against requests of the same lengths that share nothing.")

    @OptionGroup var options: ModelOptions
    @Option(help: "Requests of each kind.")
    var requests = 1000
    @Option(help: "Tokens of the preamble.")
    var preamble = 512
    @Option(help: "Different preambles, in turn.")
    var preambles = 1
    @Option(help: "Tokens of each prompt after the preamble.")
    var prompt = 16
    @Option(help: "Tokens to generate for each prompt.")
    var generate = 16
    @Option(help: "Sequences that run at the same time.")
    var batch = 32
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard (1...1_000_000).contains(requests), (1...4096).contains(batch) else {
            throw ValidationError("--requests must be 1 to 1000000, --batch 1 to 4096")
        }
        guard (1...requests).contains(preambles) else { throw ValidationError("--preambles must be 1 to --requests") }
        guard (16...100_000).contains(preamble), (1...10_000).contains(prompt), (1...10_000).contains(generate) else {
            throw ValidationError("--preamble must be 16 or more, --prompt and --generate 1 or more")
        }
    }

    func run() throws {
        let team = ThreadTeam(threads: options.threads)
        let (model, _) = try options.load(team)
        let shared = try measure(model, team, isShared: true)
        let apart = try measure(model, team, isShared: false)
        let ratio = apart.seconds / shared.seconds
        bench.show(
            [
                "model": .string(options.model), "requests": .integer(Int64(requests)),
                "preamble": .integer(Int64(preamble)), "preambles": .integer(Int64(preambles)),
                "prompt": .integer(Int64(prompt)),
                "generate": .integer(Int64(generate)), "batch": .integer(Int64(batch)),
                "threads": .integer(Int64(options.threads)), "shared_seconds": .number(shared.seconds),
                "apart_seconds": .number(apart.seconds), "shared_prefill_tokens": .integer(Int64(shared.prefill)),
                "apart_prefill_tokens": .integer(Int64(apart.prefill)), "speedup": .number(ratio),
            ],
            text: String(
                format: "shared %.2f s (%d prompt tokens computed), apart %.2f s (%d): %.1f times as fast",
                shared.seconds, shared.prefill, apart.seconds, apart.prefill, ratio))
    }

    private func measure(
        _ model: ServedModel, _ team: ThreadTeam, isShared: Bool
    ) throws -> (seconds: Double, prefill: Int) {
        let blocks = TokenBlock.count(forTokens: preamble + prompt + generate) + 1
        let engine = try Engine(
            model: model,
            limits: EngineLimits(
                maximumSequences: batch, tokenBudget: max(256, batch), cacheBlocks: blocks * batch, draftRows: 0,
                maximumWaiting: requests), team: team)
        for request in 0..<requests {
            let tokens = (0..<preamble + prompt).map { position in
                model.token(
                    position, of: isShared && position < preamble ? requests + request % preambles : request)
            }
            try engine.submit(
                GenerationRequest(
                    id: UInt64(request), prompt: tokens,
                    parameters: SamplingParameters(maximumTokens: generate, ignoreEndOfText: true)))
        }
        let start = Date()
        while engine.hasWork { engine.step { _ in } }
        return (Date().timeIntervalSince(start), Int(engine.stats.prefillTokens) + requests)
    }
}
