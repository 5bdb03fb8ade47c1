// noop jobs: nothing to do. They measure the queue alone.
import JobModel
import JobWorker
import Synchronization

package final class NoopHandler: JobHandler {
    package let kinds: [JobKind] = [.noop]
    package let capacity: AsyncStream<Void>
    private let freed: AsyncStream<Void>.Continuation
    private let running = Atomic<Int>(0)
    private let maximum: Int

    /// - Parameter maximum: jobs held at the same time.
    package init(maximum: Int = 1000) {
        self.maximum = maximum
        (capacity, freed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func demand() async -> Demand {
        Demand(jobs: max(0, maximum - running.load(ordering: .relaxed)), models: [])
    }

    package func willRun(_ lease: Lease) { running.wrappingAdd(1, ordering: .relaxed) }

    package func run(_ lease: Lease, progress: any ProgressSink) async -> Outcome {
        running.wrappingSubtract(1, ordering: .relaxed)
        freed.yield()
        return .succeeded(result: [:], usage: nil)
    }

    package func shutDown() async {}
}
