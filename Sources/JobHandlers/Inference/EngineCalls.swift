// Requests to engines as calls that return when they have ended.
import LLMInference
import Synchronization

final class EngineCalls: Sendable {
    /// Requests that one job has in an engine at a time: enough to fill its steps and to share what they have in common.
    static let atOnce = 32

    private let slots: WorkerSlots
    private let lastRequest = Atomic<UInt64>(0)

    init(slots: WorkerSlots) { self.slots = slots }

    /// A request's name in its engine.
    func nextRequest() -> UInt64 { lastRequest.wrappingAdd(1, ordering: .relaxed).newValue }

    /// The request's last event. Cancelling the task cancels the request.
    func end(
        of request: any EngineRequest, on model: ResidentModel,
        onToken: @escaping @Sendable (GeneratedToken) -> Void = { _ in }
    ) async -> EngineEvent {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                model.engine.submit(request) { event in
                    if case .token(let token) = event { onToken(token) } else { continuation.resume(returning: event) }
                }
                // A cancellation that came before the request found nothing to cancel.
                if Task.isCancelled { model.engine.cancel(request.id) }
            }
        } onCancel: {
            model.engine.cancel(request.id)
        }
    }

    /// The last events of all requests of a job, in their order; after a failure the others are cancelled.
    func ends(of requests: [any EngineRequest], on model: ResidentModel) async -> [EngineEvent] {
        await withTaskGroup(of: (Int, EngineEvent).self) { group in
            var ends: [EngineEvent?] = Array(repeating: nil, count: requests.count)
            var begun = 0
            var running = 0
            func begin() {
                let index = begun
                group.addTask { [self] in (index, await end(of: requests[index], on: model)) }
                begun += 1
                running += 1
                // The job itself has a slot.
                if running > 1 { slots.take() }
            }
            while begun < min(requests.count, Self.atOnce) { begin() }
            while let (index, event) = await group.next() {
                ends[index] = event
                if running > 1 { slots.give() }
                running -= 1
                if case .failed = event {
                    group.cancelAll()
                    begun = requests.count
                } else if begun < requests.count {
                    begin()
                }
            }
            return ends.compactMap(\.self)
        }
    }
}

extension [EngineEvent] {
    /// Why some of the requests failed, unless they did so only because another one had.
    var failure: EngineError? {
        var cancelled: EngineError?
        for case .failed(_, let error) in self {
            if error != .cancelled { return error }
            cancelled = error
        }
        return cancelled
    }
}
