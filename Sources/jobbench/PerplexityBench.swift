// perplexity of a text: disjoint windows of tokens, each with the begin-of-text token first where the model wants one.
import ArgumentParser
import Foundation
import JSON
import LLMKernels
import LLMModels

struct PerplexityBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Perplexity of a text under the served path, or with --reference in float32.")

    @OptionGroup var options: ModelOptions
    @Option(help: "UTF-8 text.")
    var text: String
    @Option(help: "Tokens per window.")
    var window = 1024
    @Option(help: "Tokens to measure at most.")
    var tokens = 8192
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard window >= 2, tokens >= 2 else { throw ValidationError("--window and --tokens must be 2 or more") }
    }

    func run() throws {
        guard let content = FileManager.default.contents(atPath: text) else {
            throw ValidationError("--text: \(text) can't be read")
        }
        let source = try options.open()
        let team = ThreadTeam(threads: options.threads)
        let tokenizer = try source.tokenizer()
        let model = try LanguageModel(source, precision: options.precision, team: team)
        let begin = tokenizer.addsBeginOfText ? tokenizer.beginOfText : nil
        let all = tokenizer.encode(
            String(decoding: content, as: UTF8.self), addSpecialTokens: false, parseSpecialTokens: false)
        let chunk = min(window, model.configuration.contextLength) - (begin == nil ? 0 : 1)
        var scorer = WindowScorer(model: model, cache: options.cache, window: chunk + 1, team: team)
        let start = Date()
        let text = all.prefix(tokens)
        for place in stride(from: 0, to: text.count, by: chunk) {
            let part = Array(text[place..<min(place + chunk, text.count)])
            scorer.score((begin.map { [$0] } ?? []) + part)
        }
        guard scorer.count > 0 else { throw ValidationError("--text: holds fewer than two tokens") }
        let perplexity = exp(scorer.sum / Double(scorer.count))
        let rate = Double(text.count) / -start.timeIntervalSinceNow
        bench.show(
            [
                "model": .string(options.model), "precision": .string(options.precision.rawValue),
                "cache": .string((options.cache ?? model.cachePrecision).rawValue),
                "perplexity": .number(perplexity), "tokens": .integer(Int64(scorer.count)),
                "window": .integer(Int64(window)), "tokens_per_second": .number(rate),
                "threads": .integer(Int64(options.threads)),
            ],
            text: String(format: "perplexity %.4f over %d tokens, %.0f tokens/s", perplexity, scorer.count, rate))
    }
}

/// Sums −ln p of each token given those before it in its window.
struct WindowScorer {
    private static let rows = 128

    private let model: LanguageModel
    private let team: ThreadTeam
    private let cache: KVCache
    private let work: Workspace
    private(set) var sum = 0.0
    private(set) var count = 0

    init(model: LanguageModel, cache precision: KVPrecision?, window: Int, team: ThreadTeam) {
        self.model = model
        self.team = team
        cache = model.makeCache(
            blocks: (window + KVLayout.blockSize - 1) / KVLayout.blockSize, precision: precision)
        work = model.makeWorkspace(maximumRows: Self.rows, maximumLogitRows: Self.rows, team: team)
    }

    mutating func score(_ tokens: [Int32]) {
        let size = model.configuration.vocabularySize
        var batch = StepBatch()
        batch.blockTables = [(0..<Int32(cache.blockCount)).map { $0 }]
        for start in stride(from: 0, to: tokens.count, by: Self.rows) {
            let range = start..<min(start + Self.rows, tokens.count)
            batch.tokens = Array(tokens[range])
            batch.positions = range.map { Int32($0) }
            batch.sequences = range.map { _ in 0 }
            batch.outputRows = range.indices.map { Int32($0 - start) }
            let states = model.forward(batch, cache: cache, work: work, team: team)
            model.logits(states, work: work, team: team)
            for row in range where row + 1 < tokens.count {
                let logits = UnsafeBufferPointer(start: work.logits.base + (row - start) * size, count: size)
                sum += Double(logSumExp(logits)) - Double(logits[Int(tokens[row + 1])])
                count += 1
            }
        }
    }
}
