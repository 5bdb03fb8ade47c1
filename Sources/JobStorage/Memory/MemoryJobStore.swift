// The queue in memory: for tests, and for trials without a server. What it does is `MemoryQueue`'s; here is the lock.
import Foundation
import JSON
import JobModel
import Synchronization

/// Holds jobs as long as the process lives. Every call is one transaction.
package final class MemoryJobStore: JobStore {
    private let queue: Mutex<MemoryQueue>
    private let clock: @Sendable () -> Double

    /// - Parameter clock: seconds since 1970; never goes back.
    package init(
        backoff: Backoff = Backoff(),
        clock: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) {
        queue = Mutex(MemoryQueue(backoff: backoff))
        self.clock = clock
    }

    // Inside the lock, so that times and order agree.
    private func change<Value: Sendable>(
        _ body: (inout MemoryQueue, _ now: Double) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = queue.withLock { queue in
            do throws(StoreError) {
                return .success(try body(&queue, clock()))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    // MARK: Clients

    package func enqueue(_ jobs: [NewJob]) throws(StoreError) -> [JobID] {
        try change { queue, now throws(StoreError) in try queue.enqueue(jobs, at: now) }
    }

    package func job(_ id: JobID) throws(StoreError) -> Job {
        try change { queue, _ throws(StoreError) in try queue.job(id) }
    }

    package func states(of ids: [JobID]) throws(StoreError) -> [JobID: JobState] {
        try change { queue, _ throws(StoreError) in
            Dictionary(ids.compactMap { id in queue.entries[id].map { (id, $0.job.state) } }) { $1 }
        }
    }

    package func progress(of id: JobID) throws(StoreError) -> JSONValue? {
        try change { queue, _ throws(StoreError) in queue.entries[id]?.progress }
    }

    package func readStream(_ id: JobID, after offset: Int) throws(StoreError) -> StreamPart {
        try change { queue, _ throws(StoreError) in try queue.readStream(id, after: offset) }
    }

    package func attempts(of id: JobID) throws(StoreError) -> [AttemptRecord] {
        try change { queue, _ throws(StoreError) in queue.entries[id]?.attempts ?? [] }
    }

    package func cancel(_ id: JobID) throws(StoreError) -> JobState {
        try change { queue, now throws(StoreError) in try queue.cancel(id, at: now) }
    }

    package func retry(_ id: JobID) throws(StoreError) -> JobState {
        try change { queue, now throws(StoreError) in try queue.retry(id, at: now) }
    }

    package func replay(_ id: JobID) throws(StoreError) -> JobID {
        try change { queue, now throws(StoreError) in try queue.replay(id, at: now) }
    }

    // MARK: Workers

    package func register(_ worker: WorkerRegistration) throws(StoreError) {
        try change { queue, now throws(StoreError) in try queue.register(worker, at: now) }
    }

    package func beat(_ worker: WorkerID, isDraining: Bool) throws(StoreError) -> Pulse {
        try change { queue, now throws(StoreError) in queue.beat(worker, isDraining: isDraining, at: now) }
    }

    package func unregister(_ worker: WorkerID) throws(StoreError) {
        try change { queue, _ throws(StoreError) in queue.unregister(worker) }
    }

    package func claim(_ request: ClaimRequest) throws(StoreError) -> [Lease] {
        guard request.maximum > 0 else { return [] }
        return try change { queue, now throws(StoreError) in try queue.claimUnshared(request, at: now) }
    }

    package func complete(_ completions: [Completion]) throws(StoreError) -> [JobID: JobState] {
        try change { queue, now throws(StoreError) in queue.complete(completions, at: now) }
    }

    package func handBack(of worker: WorkerID, except known: [RunToken]) throws(StoreError) -> [JobID] {
        try change { queue, now throws(StoreError) in queue.handBack(of: worker, except: known, at: now) }
    }

    package func report(_ progress: [ProgressReport]) throws(StoreError) -> [JobID: Bool] {
        try change { queue, _ throws(StoreError) in queue.report(progress) }
    }

    package func append(_ chunks: [ChunkReport]) throws(StoreError) -> [JobID: Bool] {
        try change { queue, _ throws(StoreError) in queue.append(chunks) }
    }

    package func maintain(maximum: Int) throws(StoreError) -> Maintenance {
        try change { queue, now throws(StoreError) in
            let done = Maintenance(
                rescued: queue.rescue(maximum: maximum, at: now), promoted: queue.promote(maximum: maximum, at: now),
                expired: queue.expire(maximum: maximum, at: now))
            queue.settleDependencies(at: now)
            queue.tendFlights(at: now)
            return done
        }
    }

    // MARK: Operators

    package func workers() throws(StoreError) -> [WorkerSummary] {
        try change { queue, now throws(StoreError) in queue.workerSummaries(at: now) }
    }

    package func queues() throws(StoreError) -> [QueueSummary] {
        try change { queue, now throws(StoreError) in queue.queueSummaries(at: now) }
    }

    package func setPaused(_ isPaused: Bool, queue name: String) throws(StoreError) {
        try change { queue, _ throws(StoreError) in queue.queues[name, default: .init()].isPaused = isPaused }
    }

    package func setPriorityStep(_ seconds: Double, queue name: String) throws(StoreError) {
        guard (0...8_640_000).contains(seconds) else { throw .refused("priority_step: out of its range") }
        try change { queue, _ throws(StoreError) in queue.queues[name, default: .init()].priorityStep = seconds }
    }

    package func setAffinityWindow(_ seconds: Double, queue name: String) throws(StoreError) {
        guard (0...8_640_000).contains(seconds) else { throw .refused("affinity_window: out of its range") }
        try change { queue, _ throws(StoreError) in queue.queues[name, default: .init()].affinityWindow = seconds }
    }

    package func setLimit(_ limit: RunLimit) throws(StoreError) {
        guard (0...Int(Int32.max)).contains(limit.running) else { throw .refused("running: out of its range") }
        guard (1...200).contains(limit.name.unicodeScalars.count) else { throw .refused("name: out of its range") }
        try change { queue, _ throws(StoreError) in
            queue.limits.removeAll { $0.scope == limit.scope && $0.name == limit.name }
            queue.limits.append(limit)
        }
    }

    package func removeLimit(_ scope: RunLimit.Scope, _ name: String) throws(StoreError) -> Bool {
        try change { queue, _ throws(StoreError) in
            let before = queue.limits.count
            queue.limits.removeAll { $0.scope == scope && $0.name == name }
            return queue.limits.count < before
        }
    }

    package func setRate(_ rate: JobRate) throws(StoreError) {
        guard rate.perSecond > 0, rate.perSecond <= 1e9 else { throw .refused("per_second: out of its range") }
        guard (1...1e12).contains(rate.burst) else { throw .refused("burst: out of its range") }
        guard (1...200).contains(rate.name.unicodeScalars.count) else { throw .refused("name: out of its range") }
        try change { queue, now throws(StoreError) in queue.setRate(rate, at: now) }
    }

    package func removeRate(_ scope: RunLimit.Scope, _ name: String, _ unit: JobRate.Unit) throws(StoreError) -> Bool {
        try change { queue, _ throws(StoreError) in queue.removeRate(scope, name, unit) }
    }

    package func rates() throws(StoreError) -> [RateSummary] {
        try change { queue, now throws(StoreError) in queue.rateSummaries(at: now) }
    }

    package func limits() throws(StoreError) -> [LimitSummary] {
        try change { queue, _ throws(StoreError) in
            queue.limits.map { LimitSummary(limit: $0, used: queue.used($0.scope, $0.name)) }
                .sorted { ($0.limit.scope.rawValue, $0.limit.name) < ($1.limit.scope.rawValue, $1.limit.name) }
        }
    }

    package func redrive(
        _ filter: DeadLetterFilter, after: JobID, maximum: Int
    ) throws(StoreError) -> Redrive {
        try change { queue, now throws(StoreError) in
            queue.redrive(filter, after: after, maximum: maximum, at: now)
        }
    }

    // MARK: Registry of models

    package func register(_ model: RegisteredModel) throws(StoreError) {
        try change { queue, _ throws(StoreError) in try queue.register(model) }
    }

    package func models() throws(StoreError) -> [RegisteredModel] {
        try change { queue, _ throws(StoreError) in queue.models.values.sorted { $0.name < $1.name } }
    }

    package func model(_ name: String) throws(StoreError) -> RegisteredModel? {
        try change { queue, _ throws(StoreError) in queue.models[name] }
    }

    package func removeModel(_ name: String) throws(StoreError) -> Bool {
        try change { queue, _ throws(StoreError) in try queue.removeModel(name) }
    }

    // MARK: Publisher

    package func relayEvents(
        maximum: Int, _ publish: @Sendable ([JobEvent]) async throws -> Void
    ) async throws -> Int {
        // Publishers side by side skip each other's.
        let events = queue.withLock { queue in
            let taken = queue.takenEvents
            let events = Array(queue.outbox.lazy.filter { !taken.contains($0.sequence) }.prefix(maximum))
            queue.takenEvents.formUnion(events.map(\.sequence))
            return events
        }
        guard !events.isEmpty else { return 0 }
        let numbers = Set(events.map(\.sequence))
        defer { queue.withLock { $0.takenEvents.subtract(numbers) } }
        try await publish(events)
        queue.withLock { $0.outbox.removeAll { numbers.contains($0.sequence) } }
        return events.count
    }
}
