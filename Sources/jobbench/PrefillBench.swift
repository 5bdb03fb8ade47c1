// prefill: tokens of prompts per second, through the engine and in chunks as a worker reads them.
import ArgumentParser
import Foundation
import JSON
import JobHandlers
import LLMInference
import LLMKernels
import LLMModels
import LLMTokenizers

struct PrefillBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prefill", abstract: "Prompt tokens read per second, by length and number of prompts.")

    @OptionGroup var options: ModelOptions
    @Option(help: "Tokens of each prompt, e.g. 128,512,1024.")
    var prompt = "128,512,1024"
    @Option(help: "Prompts at the same time, e.g. 1,8.")
    var batch = "1,8"
    @Option(help: "Rows of one step (a worker: 256).")
    var budget = 256
    @Option(help: "How often each point is measured; the median counts.")
    var rounds = 3
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard (1...100_000).contains(budget), (1...1000).contains(rounds) else {
            throw ValidationError("--budget and --rounds must be 1 or more")
        }
    }

    func run() throws {
        let lengths = try numbers(prompt, of: "--prompt", in: 1...100_000)
        let sizes = try numbers(batch, of: "--batch", in: 1...4096)
        let team = ThreadTeam(threads: options.threads)
        let (served, _) = try options.load(team)
        _ = try seconds(served, length: 64, size: 1, round: 0, team)
        for length in lengths {
            for size in sizes {
                let times = try (1...rounds).map { try seconds(served, length: length, size: size, round: $0, team) }
                show(length: length, size: size, seconds: times.sorted()[rounds / 2])
            }
        }
    }

    private func show(length: Int, size: Int, seconds: Double) {
        let rate = Double(length * size) / seconds
        bench.show(
            [
                "model": .string(options.model), "precision": .string(options.precision.rawValue),
                "prompt": .integer(Int64(length)), "batch": .integer(Int64(size)),
                "token_budget": .integer(Int64(max(budget, size))), "threads": .integer(Int64(options.threads)),
                "rounds": .integer(Int64(rounds)), "seconds": .number(seconds),
                "prefill_tokens_per_second": .number(rate),
            ],
            text: String(format: "%2d prompts of %5d tokens: %8.1f tokens/s", size, length, rate))
    }

    /// From the first step to the first token of the last prompt. An engine of its own, so that nothing is in its cache.
    private func seconds(_ model: ServedModel, length: Int, size: Int, round: Int, _ team: ThreadTeam) throws -> Double
    {
        let blocks = (length / KVLayout.blockSize + 2) * size
        let limits = EngineLimits(maximumSequences: size, tokenBudget: max(budget, size), cacheBlocks: blocks)
        let engine = try Engine(model: model, limits: limits, team: team)
        var parameters = SamplingParameters(maximumTokens: 1, ignoreEndOfText: true)
        parameters.temperature = 0
        for sequence in 0..<size {
            let tokens = (0..<length).map { model.token($0, of: round * size + sequence) }
            try engine.submit(GenerationRequest(id: UInt64(sequence), prompt: tokens, parameters: parameters))
        }
        let start = ContinuousClock.now
        while engine.hasWork { engine.step { _ in } }
        return (ContinuousClock.now - start) / .seconds(1)
    }
}
