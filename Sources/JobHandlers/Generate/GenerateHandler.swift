// generate jobs: input → prompt tokens → engine → result.
import Foundation
import JSON
import JobModel
import JobStorage
import JobWorker
import LLMConstraints
import LLMInference
import LLMKernels
import Logging
import Synchronization

package final class GenerateHandler: JobHandler {
    package let kinds: [JobKind] = [.generate]
    package let capacity: AsyncStream<Void>

    private let models: ServedModels
    private let limits: ServingLimits
    private let names: @Sendable () async throws -> [String]
    private let freed: AsyncStream<Void>.Continuation
    private let running = Atomic<Int>(0)
    private let nextRequest = Atomic<UInt64>(1)

    /// - Parameter names: the registered models that this worker may serve.
    package init(
        models: ServedModels, limits: ServingLimits, names: @escaping @Sendable () async throws -> [String]
    ) {
        self.models = models
        self.limits = limits
        self.names = names
        (capacity, freed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func demand() async -> Demand {
        let free = limits.sequences - running.load(ordering: .relaxed)
        guard free > 0, let names = try? await names() else { return Demand(jobs: 0, models: []) }
        return Demand(jobs: free, models: await models.available(names))
    }

    package func willRun() { running.wrappingAdd(1, ordering: .relaxed) }

    package func run(_ lease: Lease, progress: any ProgressSink) async -> Outcome {
        defer {
            running.wrappingSubtract(1, ordering: .relaxed)
            freed.yield()
        }
        let input: GenerateInput
        do throws(InputError) {
            input = try GenerateInput(lease.input)
        } catch {
            return .failed(JobFailure(code: "invalid_input", message: error.description, field: error.field))
        }
        return await models.use(lease.model) { loaded in
            switch loaded {
            case .failure(let failure):
                return failure.code == "model_unavailable" ? .retry(failure, after: nil) : .failed(failure)
            case .success(let model):
                return await self.generate(input, lease, model, progress)
            }
        }
    }

    package func shutDown() async { await models.shutDown() }

    // MARK: One job

    private func generate(
        _ input: GenerateInput, _ lease: Lease, _ model: ResidentModel, _ progress: any ProgressSink
    ) async -> Outcome {
        let prompt: [Int32]
        do throws(InputError) {
            prompt = try PromptBuilder(model: model).tokens(input, createdAt: lease.createdAt)
        } catch {
            return .failed(JobFailure(code: "invalid_input", message: error.description, field: error.field))
        }
        let constraint: TokenConstraint?
        do throws(InputError) {
            constraint = try await compile(input.constraint, model)
        } catch {
            return .failed(JobFailure(code: "invalid_input", message: error.description, field: error.field))
        }
        let draft = GenerationDraft(model: model, resuming: lease.progress, progress: progress)
        let request = GenerationRequest(
            id: nextRequest.wrappingAdd(1, ordering: .relaxed).oldValue, prompt: prompt, parameters: input.parameters,
            resumeTokens: draft.resumeTokens, constraint: constraint, priority: -lease.priority)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                model.engine.submit(request) { event in
                    switch event {
                    case .token(let token): draft.append(token)
                    case .finished(_, let output): continuation.resume(returning: draft.outcome(output))
                    // Not what was asked for.
                    case .scored, .embedded: break
                    case .failed(_, let error): continuation.resume(returning: Self.outcome(of: error))
                    }
                }
                // A cancellation that came before the request found nothing to cancel.
                if Task.isCancelled { model.engine.cancel(request.id) }
            }
        } onCancel: {
            model.engine.cancel(request.id)
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

    private static func outcome(of error: EngineError) -> Outcome {
        switch error {
        case .stopped: .released
        case .busy, .duplicateRequest: .retry(JobFailure(code: "engine_busy", message: error.description), after: 1)
        case .cancelled: .cancelled(result: nil, usage: nil)
        case .invalidLogits, .invalidState: .failed(JobFailure(code: "engine", message: error.description))
        case .emptyPrompt, .promptTooLong, .exceedsContext, .tokenOutOfRange:
            .failed(JobFailure(code: "invalid_input", message: "input.\(error)", field: "input.prompt"))
        case .exceedsCache(let needed, let cache):
            .failed(
                JobFailure(
                    code: "too_long",
                    message:
                        "input.max_tokens: prompt and answer together need room for \(needed * KVLayout.blockSize) "
                        + "tokens, this worker has \(cache * KVLayout.blockSize)",
                    field: "input.max_tokens"))
        case .constraintTooLong(let needed, let available):
            .failed(
                JobFailure(
                    code: "invalid_input",
                    message:
                        "input.max_tokens: the shortest text that satisfies the constraint may take \(needed) tokens, "
                        + "there is room for \(available)",
                    field: "input.max_tokens"))
        case .invalidParameter, .invalidResume:
            .failed(JobFailure(code: "invalid_input", message: "input.\(error)"))
        }
    }
}
