// A handler whose jobs end when the test says so.
import JSON
import JobModel
import JobWorker
import Synchronization

final class FakeHandler: JobHandler {
    enum Event: Sendable, Equatable {
        case started(Lease)
        /// Its task was cancelled.
        case stopped(Lease)
    }

    private struct Attempt: Sendable {
        let continuation: CheckedContinuation<Outcome, Never>
        let progress: any ProgressSink
    }

    private struct State: Sendable {
        var running = 0
        var open: [RunToken: Attempt] = [:]
        var isShutDown = false
    }

    let kinds: [JobKind] = [.noop]
    let capacity: AsyncStream<Void>
    let events: AsyncStream<Event>
    private let freed: AsyncStream<Void>.Continuation
    private let told: AsyncStream<Event>.Continuation
    private let places: Int
    private let state = Mutex(State())

    /// - Parameter places: jobs that it runs at the same time.
    init(places: Int) {
        self.places = places
        (capacity, freed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (events, told) = AsyncStream.makeStream()
    }

    var isShutDown: Bool { state.withLock(\.isShutDown) }

    func demand() async -> Demand { Demand(jobs: max(0, places - state.withLock(\.running)), models: []) }

    func willRun(_ lease: Lease) { state.withLock { $0.running += 1 } }

    func run(_ lease: Lease, progress: any ProgressSink) async -> Outcome {
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock {
                    $0.open[lease.runToken] = Attempt(continuation: continuation, progress: progress)
                }
                told.yield(.started(lease))
                if Task.isCancelled { stop(lease) }
            }
        } onCancel: {
            stop(lease)
        }
        state.withLock { $0.running -= 1 }
        freed.yield()
        return outcome
    }

    func shutDown() async { state.withLock { $0.isShutDown = true } }

    private func stop(_ lease: Lease) {
        guard let attempt = state.withLock({ $0.open.removeValue(forKey: lease.runToken) }) else { return }
        told.yield(.stopped(lease))
        attempt.continuation.resume(returning: .cancelled(result: ["text": "half"], usage: nil))
    }

    // MARK: For tests

    func end(_ lease: Lease, _ outcome: Outcome) {
        state.withLock { $0.open.removeValue(forKey: lease.runToken) }?.continuation.resume(returning: outcome)
    }

    func report(_ lease: Lease, _ progress: JSONValue) {
        state.withLock { $0.open[lease.runToken] }?.progress.report(progress)
    }
}
