// How much a worker does at a time, over all kinds of jobs and all models.
import Synchronization

/// A running job takes one slot, and one more for each further request that it has in an engine.
final class WorkerSlots: Sendable {
    /// Yields when a job has ended.
    let freed: AsyncStream<Void>
    private let ended: AsyncStream<Void>.Continuation
    private let total: Int
    private let taken = Atomic<Int>(0)

    init(_ total: Int) {
        self.total = total
        (freed, ended) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Negative never; jobs with many requests may take more than there is.
    var free: Int { max(0, total - taken.load(ordering: .relaxed)) }

    func take() { taken.wrappingAdd(1, ordering: .relaxed) }

    func give(isEnd: Bool = false) {
        taken.wrappingSubtract(1, ordering: .relaxed)
        if isEnd { ended.yield() }
    }
}
