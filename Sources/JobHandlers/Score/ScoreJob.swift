// score jobs: the log-likelihood of continuations, or of a text.
import Foundation
import JSON
import JobModel
import JobWorker
import LLMInference
import OrderedCollections

struct ScoreJob: ModelJob {
    /// Tokens of a window unless the job says so: what a worker has room for, and not longer than attention is cheap.
    static let usualWindow = 2048

    private let input: ScoreInput
    private let lease: Lease

    init(_ lease: Lease) throws(InputError) {
        input = try ScoreInput(lease.input)
        self.lease = lease
    }

    func run(
        on model: ResidentModel, _ calls: EngineCalls, _ progress: any ProgressSink
    ) async throws(InputError) -> Outcome {
        switch input.question {
        case .continuations(let texts, let context):
            let choices = Choices(try pairs(texts, context, model))
            let requests = choices.requests.map { choice in
                ScoreRequest(
                    id: calls.nextRequest(), tokens: choice.pair.tokens, endings: choice.endings,
                    firstScored: choice.pair.firstScored, alternatives: max(0, input.logprobs),
                    adapter: model.adapter, priority: -lease.priority)
            }
            return await scores(of: requests, on: model, calls, field: "input.continuations") { scores in
                let entries = zip(texts, choices.scores(scores)).map { text, score in entry(text, score, model) }
                return ["scores": .array(entries)]
            }
        case .text(let text, let window, let stride):
            let requests = try requests(text, window, stride, model, calls)
            return await scores(of: requests, on: model, calls, field: "input.text") { scores in
                summary(text, scores.flatMap(\.tokens), model)
            }
        }
    }

    /// The outcome of all requests together.
    private func scores(
        of requests: [ScoreRequest], on model: ResidentModel, _ calls: EngineCalls, field: String,
        result: ([ScoreOutput]) -> OrderedDictionary<String, JSONValue>
    ) async -> Outcome {
        let ends = await calls.ends(of: requests, on: model)
        if let error = ends.failure { return error.outcome(field: field) }
        var scores: [ScoreOutput] = []
        for case .scored(_, let score) in ends { scores.append(score) }
        var members = result(scores)
        members["model_digest"] = .string(model.digest)
        let usage = scores.reduce(.none) { $0 + $1.usage }
        return .succeeded(result: .object(members), usage: usage.json(model.provenance.json()))
    }

    // MARK: Continuations

    private func pairs(
        _ texts: [String], _ context: ScoreInput.Context, _ model: ResidentModel
    ) throws(InputError) -> [ContinuationEncoder.Pair] {
        let encoder: ContinuationEncoder
        switch context {
        case .text(let prompt):
            encoder = ContinuationEncoder(prompt, tokenizer: model.tokenizer)
        case .messages(let messages):
            let text = try PromptBuilder(model: model).text(
                of: messages, "input.messages", createdAt: lease.createdAt)
            encoder = ContinuationEncoder(text, isChat: true, tokenizer: model.tokenizer)
        }
        let longest = model.configuration.contextLength + 1
        var pairs: [ContinuationEncoder.Pair] = []
        for (index, text) in texts.enumerated() {
            let field = "input.continuations[\(index)]"
            guard let pair = encoder.pair(text) else {
                throw InputError(field: field, reason: "has no token of its own after this prompt")
            }
            guard pair.tokens.count <= longest else {
                throw InputError(
                    field: field,
                    reason: "\(pair.tokens.count) tokens with the prompt don't fit a context of \(longest - 1)")
            }
            pairs.append(pair)
        }
        return pairs
    }

    private func entry(_ text: String, _ score: ScoreOutput, _ model: ResidentModel) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "logprob": .number(score.logprob), "tokens": .integer(Int64(score.tokens.count)),
            "bytes": .integer(Int64(text.utf8.count)), "is_greedy": .bool(score.isGreedy),
        ]
        if input.logprobs >= 0 { members["logprobs"] = .array(score.tokens.map { model.json($0) }) }
        return .object(members)
    }

    // MARK: Text

    private func requests(
        _ text: String, _ window: Int?, _ stride: Int?, _ model: ResidentModel, _ calls: EngineCalls
    ) throws(InputError) -> [ScoreRequest] {
        let context = model.configuration.contextLength
        if let window, window > context {
            throw InputError(
                field: "input.window", reason: "\(window) tokens don't fit the model's context of \(context)")
        }
        let tokenizer = model.tokenizer
        let first = tokenizer.addsBeginOfText ? tokenizer.beginOfText.map { [$0] } ?? [] : []
        let tokens = tokenizer.encode(text, addSpecialTokens: false, parseSpecialTokens: false)
        let windows = TextWindows(
            tokens: tokens.count, window: window ?? min(context, Self.usualWindow), stride: stride,
            hasFirst: !first.isEmpty
        ).windows
        guard !windows.isEmpty else {
            throw InputError(field: "input.text", reason: "has one token, and nothing stands before it")
        }
        return windows.map { window in
            ScoreRequest(
                id: calls.nextRequest(), tokens: first + tokens[window.tokens],
                firstScored: first.count + window.scored.lowerBound - window.tokens.lowerBound,
                alternatives: max(0, input.logprobs), adapter: model.adapter,
                priority: -lease.priority)
        }
    }

    private func summary(
        _ text: String, _ tokens: [ScoredToken], _ model: ResidentModel
    ) -> OrderedDictionary<String, JSONValue> {
        let logprob = tokens.reduce(0) { $0 + Double($1.logprob.logprob) }
        let bytes = text.utf8.count
        var members: OrderedDictionary<String, JSONValue> = [
            "logprob": .number(logprob), "tokens": .integer(Int64(tokens.count)), "bytes": .integer(Int64(bytes)),
            "perplexity": .number(exp(-logprob / Double(tokens.count))),
            "bits_per_byte": .number(-logprob / (Double(bytes) * log(2))),
        ]
        if input.logprobs >= 0 { members["logprobs"] = .array(tokens.map { model.json($0) }) }
        return members
    }
}
