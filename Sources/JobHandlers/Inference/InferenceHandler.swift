// Jobs that need a model: which of them this worker can take, and each one from its lease to its outcome.
import JobModel
import JobStorage
import JobWorker
import Synchronization

/// One handler for all these kinds, so that they share the worker's slots and are claimed by priority and age alone.
package final class InferenceHandler: JobHandler {
    private static let jobs: [JobKind: any ModelJob.Type] = [
        .generate: GenerateJob.self, .score: ScoreJob.self, .embed: EmbedJob.self,
    ]

    package let kinds: [JobKind]
    package var capacity: AsyncStream<Void> { slots.freed }

    private let models: ServedModels
    private let slots: WorkerSlots
    private let calls: EngineCalls
    private let atHand: Mutex<WorkAtHand>
    private let registered: @Sendable () async throws -> [RegisteredModel]

    /// - Parameter registered: models and adapters that this worker may serve.
    package init(
        models: ServedModels, limits: ServingLimits,
        registered: @escaping @Sendable () async throws -> [RegisteredModel]
    ) {
        kinds = Self.jobs.keys.sorted { $0.rawValue < $1.rawValue }
        self.models = models
        self.registered = registered
        slots = WorkerSlots(limits.sequences)
        atHand = Mutex(WorkAtHand(places: limits.models))
        calls = EngineCalls(slots: slots)
    }

    package func demand() async -> Demand {
        guard slots.free > 0, let registered = try? await registered() else { return Demand(jobs: 0, models: []) }
        let inMemory = await models.inMemory
        return Demand(
            jobs: slots.free, models: registered.map(\.name),
            affinity: atHand.withLock { $0.affinity(registered, inMemory: inMemory) })
    }

    package func willRun(_ lease: Lease) {
        slots.take()
        atHand.withLock { $0.begin(lease) }
    }

    package func run(_ lease: Lease, progress: any ProgressSink) async -> Outcome {
        defer {
            atHand.withLock { $0.end(lease) }
            slots.give(isEnd: true)
        }
        guard let type = Self.jobs[lease.kind] else {
            return .failed(JobFailure(code: "unknown_kind", message: "kind: \(lease.kind) needs another worker"))
        }
        let job: any ModelJob
        do throws(InputError) {
            job = try type.init(lease)
        } catch {
            return .failed(error.failure)
        }
        return await models.use(lease.model) { [calls] loaded in
            switch loaded {
            case .failure(let failure):
                return failure.code == "model_unavailable" ? .retry(failure, after: nil) : .failed(failure)
            case .success(let model):
                do throws(InputError) {
                    return try await job.run(on: model, calls, progress)
                } catch {
                    return .failed(error.failure)
                }
            }
        }
    }

    package func shutDown() async { await models.shutDown() }
}
