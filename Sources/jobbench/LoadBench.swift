// load: from nothing to the first token, and the memory that is left in use. One point per process: the first load is what
// counts.
import ArgumentParser
import Foundation
import JSON
import LLMInference
import LLMKernels
import LLMModels
import LLMTokenizers

struct LoadBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Seconds from opening a model to its first token, and the memory it takes.")

    @OptionGroup var options: ModelOptions
    @Option(help: "Tokens that the cache of keys and values holds (a worker: 16384).")
    var cacheTokens = 16384
    @Flag(help: "Without the digest of the file, which a worker compares with the registered one.")
    var withoutDigest = false
    @Flag(help: "Use all of the cache before the memory is measured.")
    var fill = false
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard (16...1 << 24).contains(cacheTokens) else { throw ValidationError("--cache-tokens must be 16 or more") }
    }

    func run() throws {
        let before = Machine.residentMemory
        var watch = StopWatch()
        let source = try options.open()
        let opened = watch.lap()
        let team = ThreadTeam(threads: options.threads)
        let loaded = try LoadedModel(
            source, precision: options.precision, team: team, digest: withoutDigest ? .unknown : .any)
        let (model, tokenizer, times) = (loaded.model, loaded.tokenizer, loaded.times)
        let read = watch.lap()
        let served = ServedModel(model, tokenizer: tokenizer, cachePrecision: options.cache)
        let blocks = cacheTokens / KVLayout.blockSize
        let engine = try Engine(
            model: served, limits: EngineLimits(maximumSequences: 32, tokenBudget: 256, cacheBlocks: blocks), team: team
        )
        let prompt = tokenizer.encode("Why is the sky blue?", addSpecialTokens: true)
        try engine.submit(
            GenerationRequest(
                id: 1, prompt: prompt, parameters: SamplingParameters(maximumTokens: 1, ignoreEndOfText: true)))
        while engine.hasWork { engine.step { _ in } }
        let answered = watch.lap()
        if fill { try fill(engine, served, blocks) }
        let weights = Int64(model.weightBytes)
        let cache = Int64(model.cacheBytes(blocks: blocks, precision: options.cache))
        let resident = Machine.residentMemory
        // What is left when the packed weights and the whole cache, touched or not, are taken away.
        let rest = resident - weights - cache
        let total = opened + read + answered
        bench.show(
            [
                "model": .string(options.model), "threads": .integer(Int64(options.threads)),
                "open_seconds": .number(opened), "read_seconds": .number(read),
                "digest_seconds": .number(times.digest), "tokenizer_seconds": .number(times.tokenizer),
                "pack_seconds": .number(times.packing),
                "first_token_seconds": .number(answered), "load_seconds": .number(total),
                "resident_memory_bytes": .integer(resident), "resident_memory_before_bytes": .integer(before),
                "weight_bytes": .integer(weights), "cache_bytes": .integer(cache),
                "resident_beyond_weights_and_cache_bytes": .integer(rest),
                "peak_beyond_weights_and_cache_bytes": .integer(Machine.peakMemory - weights - cache),
                "resident_beyond_weights_bytes": .integer(resident - weights),
            ],
            text: String(
                format: """
                    open %.3f s, read %.3f s (weights %.3f s; meanwhile tokenizer %.3f s, digest %.3f s), \
                    first token %.3f s: %.3f s in all
                    resident %.0f MB, peak %.0f MB; weights %.0f MB, cache %.0f MB (when all of it is used)
                    """, opened, read, times.packing, times.tokenizer, times.digest, answered, total,
                megabytes(resident),
                megabytes(Machine.peakMemory), megabytes(weights), megabytes(cache)))
    }

    /// Prompts that share nothing, until every block has been used.
    private func fill(_ engine: Engine, _ model: ServedModel, _ blocks: Int) throws {
        let length = min(1008, model.contextLength - 16, cacheTokens - 16)
        for number in 0...blocks * TokenBlock.size / length {
            let tokens = (0..<length).map { model.token($0, of: number) }
            try engine.submit(
                GenerationRequest(
                    id: UInt64(number + 2), prompt: tokens,
                    parameters: SamplingParameters(maximumTokens: 1, ignoreEndOfText: true)))
            while engine.hasWork { engine.step { _ in } }
        }
    }

    private func megabytes(_ bytes: Int64) -> Double { Double(bytes) / 1e6 }
}

private struct StopWatch {
    private var last = ContinuousClock.now

    mutating func lap() -> Double {
        let now = ContinuousClock.now
        defer { last = now }
        return (now - last) / .seconds(1)
    }
}
