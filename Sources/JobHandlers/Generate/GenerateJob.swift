// generate jobs: input → prompt tokens → engine → result.
import JobModel
import JobWorker
import LLMConstraints
import LLMInference

struct GenerateJob: ModelJob {
    private let input: GenerateInput
    private let lease: Lease

    init(_ lease: Lease) throws(InputError) {
        input = try GenerateInput(lease.input)
        self.lease = lease
    }

    func run(
        on model: ResidentModel, _ calls: EngineCalls, _ progress: any ProgressSink
    ) async throws(InputError) -> Outcome {
        let prompt = try PromptBuilder(model: model).tokens(input, createdAt: lease.createdAt)
        let constraint = try await compile(input.constraint, model)
        let draft = GenerationDraft(model: model, resuming: lease, progress: progress)
        let request = GenerationRequest(
            id: calls.nextRequest(), prompt: prompt, parameters: input.parameters, resumeTokens: draft.resumeTokens,
            constraint: constraint, adapter: model.adapter, priority: -lease.priority)
        switch await calls.end(of: request, on: model, onToken: draft.append) {
        case .finished(_, let output): return draft.outcome(output, seed: input.parameters.seed)
        case .failed(_, let error): return error.outcome(field: "input.prompt", lengthField: "input.max_tokens")
        case .token, .scored, .embedded: preconditionFailure("a generation ends with its output")
        }
    }

    /// May take a moment the first time.
    @concurrent
    private func compile(
        _ constraint: GenerateInput.Constraint?, _ model: ResidentModel
    ) async throws(InputError) -> TokenConstraint? {
        guard let constraint else { return nil }
        do throws(ConstraintError) {
            return try model.constraints.constraint(constraint.source)
        } catch {
            throw InputError(field: constraint.field, reason: error.description)
        }
    }
}
