// decode: tokens per second of the engine, prompts and answers apart, for several batch sizes.
import ArgumentParser
import Foundation
import JSON
import JobHandlers
import LLMInference
import LLMKernels
import LLMModels
import LLMTokenizers

struct DecodeBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "Generated tokens per second by batch size; greedy, no end of text.")

    @OptionGroup var options: ModelOptions
    @Option(help: "Batch sizes, e.g. 1,8,32.")
    var batch = "1,8,32"
    @Option(help: "Tokens of each prompt.")
    var prompt = 128
    @Option(help: "Tokens to generate for each prompt.")
    var generate = 64
    @Option(help: "Rows up to which a step is filled with guesses at the next tokens (a worker: 8).")
    var drafts = 0
    @Option(help: "Random LoRA adapters for all matrices, which the prompts have in turn.")
    var adapters = 0
    @Option(help: "Rank of the adapters.")
    var rank = 16
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard (1...100_000).contains(prompt), (2...100_000).contains(generate) else {
            throw ValidationError("--prompt must be 1 or more, --generate 2 or more")
        }
        guard (0...1000).contains(adapters), (1...LowRankMatrix.highestRank).contains(rank) else {
            throw ValidationError("--adapters must be 0 to 1000, --rank 1 to \(LowRankMatrix.highestRank)")
        }
    }

    func run() throws {
        let sizes = try numbers(batch, of: "--batch", in: 1...4096)
        let team = ThreadTeam(threads: options.threads)
        let (served, _) = try options.load(team)
        let adapters = (0..<adapters).map { LoRAAdapter.random($0, rank: rank, for: served) }
        for size in sizes { try measure(served, adapters, size, team) }
    }

    private func measure(_ model: ServedModel, _ adapters: [LoRAAdapter], _ size: Int, _ team: ThreadTeam) throws {
        let perSequence = (prompt + generate) / KVLayout.blockSize + 1
        let engine = try Engine(
            model: model,
            limits: EngineLimits(
                maximumSequences: size, tokenBudget: max(256, size), cacheBlocks: (perSequence + 1) * size,
                draftRows: drafts), team: team)
        var parameters = SamplingParameters(maximumTokens: generate, ignoreEndOfText: true)
        parameters.temperature = 0
        for sequence in 0..<size {
            // Every prompt is different: nothing may be shared between them.
            let tokens = (0..<prompt).map { model.token($0, of: sequence) }
            try engine.submit(
                GenerationRequest(
                    id: UInt64(sequence), prompt: tokens, parameters: parameters,
                    adapter: adapters.isEmpty ? nil : adapters[sequence % adapters.count]))
        }
        var begun = 0
        let start = Date()
        while begun < size { engine.step { if case .token(let token) = $0, token.index == 0 { begun += 1 } } }
        let prefilled = Date()
        let before = engine.stats.generatedTokens
        while engine.hasWork { engine.step { _ in } }
        let end = Date()
        let decoded = Double(engine.stats.generatedTokens - before) / end.timeIntervalSince(prefilled)
        let read = Double(prompt * size) / prefilled.timeIntervalSince(start)
        bench.show(
            [
                "model": .string(options.model), "precision": .string(options.precision.rawValue),
                "cache": .string((options.cache ?? model.model.cachePrecision).rawValue),
                "batch": .integer(Int64(size)), "prompt": .integer(Int64(prompt)),
                "generate": .integer(Int64(generate)), "draft_rows": .integer(Int64(drafts)),
                "drafted_tokens": .integer(Int64(engine.stats.draftedTokens)),
                "accepted_tokens": .integer(Int64(engine.stats.acceptedTokens)),
                "adapters": .integer(Int64(adapters.count)), "rank": .integer(Int64(adapters.isEmpty ? 0 : rank)),
                "decode_tokens_per_second": .number(decoded), "prefill_tokens_per_second": .number(read),
                "threads": .integer(Int64(options.threads)), "engine_overhead": .number(engine.stats.overhead),
            ],
            text: String(
                format: "batch %3d: decode %8.1f tokens/s, prefill %8.1f tokens/s, %.1f %% outside of the model", size,
                decoded, read, engine.stats.overhead * 100))
    }
}
