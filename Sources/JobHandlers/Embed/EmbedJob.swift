// embed jobs: texts as vectors.
import JSON
import JobModel
import JobWorker
import LLMInference

struct EmbedJob: ModelJob {
    private let input: EmbedInput
    private let lease: Lease

    init(_ lease: Lease) throws(InputError) {
        input = try EmbedInput(lease.input)
        self.lease = lease
    }

    func run(
        on model: ResidentModel, _ calls: EngineCalls, _ progress: any ProgressSink
    ) async throws(InputError) -> Outcome {
        let ends = await calls.ends(of: try requests(model, calls), on: model)
        if let error = ends.failure { return error.outcome(field: "input.input") }
        var vectors: [JSONValue] = []
        var usage = TokenUsage.none
        for case .embedded(_, let output) in ends {
            vectors.append(.array(output.vector.map { .number($0.asShortDouble) }))
            usage = usage + output.usage
        }
        return .succeeded(
            result: ["embeddings": .array(vectors), "model_digest": .string(model.digest)],
            usage: usage.json(model.provenance.json()))
    }

    private func requests(_ model: ResidentModel, _ calls: EngineCalls) throws(InputError) -> [EmbeddingRequest] {
        let context = model.configuration.contextLength
        var requests: [EmbeddingRequest] = []
        for (index, text) in input.texts.enumerated() {
            let tokens = model.tokenizer.encode(text, addSpecialTokens: true, parseSpecialTokens: false)
            guard tokens.count <= context else {
                throw InputError(
                    field: input.field(index), reason: "\(tokens.count) tokens don't fit a context of \(context)")
            }
            guard !tokens.isEmpty else { throw InputError(field: input.field(index), reason: "has no tokens") }
            requests.append(
                EmbeddingRequest(
                    id: calls.nextRequest(), tokens: tokens, pooling: input.pooling, normalizes: input.normalizes,
                    adapter: model.adapter, priority: -lease.priority))
        }
        return requests
    }
}

extension Float {
    /// The double with the fewest digits that rounds to this float: half the text of the exact one.
    var asShortDouble: Double { Double(description) ?? Double(self) }
}
