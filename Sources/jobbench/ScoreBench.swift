// score: multiple-choice questions, each prompt computed once for all its choices, against prompts computed for each.
import ArgumentParser
import Foundation
import JSON
import LLMInference
import LLMKernels
import LLMModels

struct ScoreBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract:
            "Multiple-choice scoring: choices that share their question's prompt against choices that share nothing.")

    @OptionGroup var options: ModelOptions
    @Option(help: "Questions.")
    var questions = 50
    @Option(help: "Choices of each question.")
    var choices = 4
    @Option(help: "Tokens of each question's prompt.")
    var prompt = 256
    @Option(help: "Tokens of each choice.")
    var continuation = 8
    @Option(help: "Sequences at a time.")
    var batch = 32
    @Option(help: "Rows of a step.")
    var budget = 256
    @Option(help: "Rounds, with and without sharing in turn; the median counts.")
    var rounds = 3
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard (1...10_000).contains(questions), (1...256).contains(choices), (1...1024).contains(batch),
            (1...100_000).contains(prompt), (1...100_000).contains(continuation), (batch...4096).contains(budget),
            (1...100).contains(rounds)
        else {
            throw ValidationError("--questions, --choices, --prompt, --continuation, --batch, --budget or --rounds")
        }
    }

    private struct Run {
        var seconds: Double
        var computed: Int
    }

    func run() throws {
        let team = ThreadTeam(threads: options.threads)
        let (model, _) = try options.load(team)
        var shared: [Run] = []
        var apart: [Run] = []
        for _ in 0..<rounds {
            shared.append(try measure(model, team, isShared: true))
            apart.append(try measure(model, team, isShared: false))
        }
        func median(_ runs: [Run]) -> Run { runs.sorted { $0.seconds < $1.seconds }[runs.count / 2] }
        let (one, other) = (median(shared), median(apart))
        // Tokens whose log-probability was asked for, and those that had to be read for it without sharing.
        let scored = Double(questions * choices * continuation)
        let read = Double(questions * choices * (prompt + continuation))
        bench.show(
            [
                "model": .string(options.model), "questions": .integer(Int64(questions)),
                "choices": .integer(Int64(choices)), "prompt": .integer(Int64(prompt)),
                "continuation": .integer(Int64(continuation)), "batch": .integer(Int64(batch)),
                "budget": .integer(Int64(budget)), "threads": .integer(Int64(options.threads)),
                "questions_per_second": .number(Double(questions) / one.seconds),
                "scored_tokens_per_second": .number(scored / one.seconds),
                "tokens_per_second": .number(read / one.seconds), "shared_seconds": .number(one.seconds),
                "apart_seconds": .number(other.seconds), "shared_computed_tokens": .integer(Int64(one.computed)),
                "apart_computed_tokens": .integer(Int64(other.computed)),
                "speedup": .number(other.seconds / one.seconds),
            ],
            text: String(
                format: "%.1f questions/s, %.0f tokens/s; shared %.2f s (%d tokens computed), apart %.2f s (%d): "
                    + "%.2f times as fast", Double(questions) / one.seconds, read / one.seconds, one.seconds,
                one.computed, other.seconds, other.computed, other.seconds / one.seconds))
    }

    private func measure(_ model: ServedModel, _ team: ThreadTeam, isShared: Bool) throws -> Run {
        let blocks = TokenBlock.count(forTokens: prompt + continuation) + 1
        let engine = try Engine(
            model: model,
            limits: EngineLimits(
                maximumSequences: batch, tokenBudget: budget, cacheBlocks: blocks * batch,
                maximumWaiting: questions * choices), team: team)
        func token(_ position: Int, of choice: Int, _ question: Int) -> Int32 {
            // A token near the beginning that is a choice's own keeps all that follows it from being shared.
            model.token(position, of: question * choices + (position < prompt && isShared ? 0 : choice))
        }
        for question in 0..<questions {
            // As a score job does: choices of one token are read together.
            let isOne = isShared && continuation == 1
            for choice in 0..<(isOne ? 1 : choices) {
                let tokens = (0..<prompt + continuation).map { token($0, of: choice, question) }
                let endings = isOne ? (1..<choices).map { token(prompt, of: $0, question) } : []
                try engine.submit(
                    ScoreRequest(
                        id: UInt64(question * choices + choice), tokens: tokens, endings: endings, firstScored: prompt)
                )
            }
        }
        let start = Date()
        while engine.hasWork { engine.step { _ in } }
        return Run(seconds: Date().timeIntervalSince(start), computed: Int(engine.stats.prefillTokens))
    }
}
