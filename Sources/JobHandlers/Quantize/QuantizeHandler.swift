// quantize jobs: a registered GGUF model in fewer bits, written, measured and registered under a name of its own.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import JobWorker
import LLMKernels
import LLMModels
import Logging
import Synchronization

/// One job at a time, on a thread of its own: the work is long and gives nothing back to wait for.
package final class QuantizeHandler: JobHandler {
    package let kinds: [JobKind] = [.quantize]
    package var capacity: AsyncStream<Void> { slots.freed }

    private let slots = WorkerSlots(1)
    private let folder: String
    private let threads: Int
    private let store: any QuantizeStore
    private let names: @Sendable () async throws -> [String]

    /// - Parameters:
    ///   - folder: where models are written, as all workers see it.
    ///   - names: the registered models that this worker may serve.
    package init(
        folder: String, threads: Int, store: any QuantizeStore, names: @escaping @Sendable () async throws -> [String]
    ) {
        self.folder = folder
        self.threads = threads
        self.store = store
        self.names = names
    }

    package func demand() async -> Demand {
        guard slots.free > 0, let names = try? await names() else { return Demand(jobs: 0, models: []) }
        return Demand(jobs: 1, models: names)
    }

    package func willRun(_ lease: Lease) { slots.take() }

    package func run(_ lease: Lease, progress: any ProgressSink) async -> Outcome {
        defer { slots.give(isEnd: true) }
        do {
            let input = try QuantizeInput(lease.input, model: lease.model)
            guard let parent = try await store.model(lease.model) else {
                return .failed(
                    JobFailure(
                        code: "unknown_model", message: "model: \"\(lease.model)\" is not registered", field: "model"))
            }
            guard parent.base == nil else {
                throw InputError(field: "model", reason: "\"\(parent.name)\" is an adapter; only models are quantised")
            }
            let taken = try await store.model(input.name)
            let job = QuantizeRun(
                input: input, parent: parent, taken: taken?.digest, folder: folder, threads: threads,
                job: lease.id, runToken: lease.runToken)
            let made = try await Self.onThread { goOn in
                try job.run(goOn: goOn) { progress.report(["done": .number($0)]) }
            }
            guard try await store.registerNew(made.model) else {
                if made.isNewFile { unlink(made.model.uri) }
                throw InputError.taken(input.name)
            }
            return .succeeded(result: made.report, usage: nil)
        } catch {
            return outcome(of: error)
        }
    }

    package func shutDown() async {}

    private func outcome(of error: any Error) -> Outcome {
        switch error {
        case let error as InputError: return .failed(error.failure)
        case is ModelMeasurement.Cancelled: return .cancelled(result: nil, usage: nil)
        case ModelError.unwritable(_, "cancelled"): return .cancelled(result: nil, usage: nil)
        case ModelError.unreadable, ModelError.unwritable:
            return .retry(JobFailure(code: "model_unavailable", message: "model: \(error)", field: "model"), after: nil)
        case is ModelError:
            return .failed(JobFailure(code: "invalid_model", message: "model: \(error)", field: "model"))
        case is StoreError: return .retry(JobFailure(code: "model_unavailable", message: "\(error)"), after: nil)
        default: return .failed(JobFailure(code: "engine", message: "\(error)"))
        }
    }

    /// Runs `body` beside Swift's cooperative pool. Cancelling the task makes `goOn` false.
    private static func onThread<Value: Sendable>(
        _ body: @escaping @Sendable (_ goOn: @escaping @Sendable () -> Bool) throws -> Value
    ) async throws -> Value {
        let isCancelled = Flag()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let thread = Thread { continuation.resume(with: Result { try body { !isCancelled.isRaised } }) }
                thread.name = "quantize"
                thread.stackSize = 8 << 20
                thread.start()
            }
        } onCancel: {
            isCancelled.raise()
        }
    }
}

/// The registry, as this kind of job needs it.
package protocol QuantizeStore: Sendable {
    func model(_ name: String) async throws(StoreError) -> RegisteredModel?
    /// - Returns: false when the name stands for another file.
    func registerNew(_ model: RegisteredModel) async throws(StoreError) -> Bool
}

extension PostgresJobStore: QuantizeStore {}

private final class Flag: Sendable {
    private let value = Atomic(false)
    var isRaised: Bool { value.load(ordering: .relaxed) }
    func raise() { value.store(true, ordering: .relaxed) }
}
