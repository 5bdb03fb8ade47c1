// The store in memory, with a record of what a worker asked of it, and with faults that a test orders.
import JSON
import JobModel
import JobStorage
import Synchronization

final class ObservedStore: JobStore {
    struct Record: Sendable {
        /// Jobs that each claim asked for.
        var claims: [Int] = []
        /// Jobs of each accepted call.
        var completions: [[JobID]] = []
        var reports: [[JobID]] = []
        var chunks: [[StreamChunk]] = []
    }

    /// Asked before a call; throws instead of it.
    typealias Complete = @Sendable ([Completion]) async throws(StoreError) -> Void

    let memory: MemoryJobStore
    private let record = Mutex(Record())
    private let beforeComplete = Mutex<Complete?>(nil)
    private let beforeClaim = Mutex<(@Sendable () async -> Void)?>(nil)
    private let lostClaims = Atomic<Int>(0)
    private let refusedRegistrations = Atomic<Int>(0)
    private let failingReports = Atomic<Int>(0)

    init(_ memory: MemoryJobStore) { self.memory = memory }

    var seen: Record { record.withLock { $0 } }

    func onComplete(_ body: @escaping Complete) { beforeComplete.withLock { $0 = body } }
    func onClaim(_ body: @escaping @Sendable () async -> Void) { beforeClaim.withLock { $0 = body } }
    /// The answers to the next claims are lost; the jobs are claimed nevertheless.
    func loseClaims(_ count: Int) { lostClaims.store(count, ordering: .relaxed) }
    func refuseRegistrations(_ count: Int) { refusedRegistrations.store(count, ordering: .relaxed) }
    func failReports(_ count: Int) { failingReports.store(count, ordering: .relaxed) }

    private static func takes(_ count: borrowing Atomic<Int>) -> Bool {
        guard count.load(ordering: .relaxed) > 0 else { return false }
        count.wrappingSubtract(1, ordering: .relaxed)
        return true
    }

    // MARK: With faults

    func register(_ worker: WorkerRegistration) throws(StoreError) {
        if Self.takes(refusedRegistrations) { throw .unavailable("no database") }
        try memory.register(worker)
    }

    func claim(_ request: ClaimRequest) async throws(StoreError) -> [Lease] {
        if let body = beforeClaim.withLock({ $0 }) { await body() }
        record.withLock { $0.claims.append(request.maximum) }
        let leases = try memory.claim(request)
        if Self.takes(lostClaims) { throw .unavailable("the connection was lost") }
        return leases
    }

    func complete(_ completions: [Completion]) async throws(StoreError) -> [JobID: JobState] {
        if let body = beforeComplete.withLock({ $0 }) { try await body(completions) }
        record.withLock { $0.completions.append(completions.map(\.lease.id)) }
        return try memory.complete(completions)
    }

    func report(_ progress: [ProgressReport]) throws(StoreError) -> [JobID: Bool] {
        if Self.takes(failingReports) { throw .unavailable("no database") }
        record.withLock { $0.reports.append(progress.map(\.id)) }
        return try memory.report(progress)
    }

    func append(_ chunks: [ChunkReport]) throws(StoreError) -> [JobID: Bool] {
        if Self.takes(failingReports) { throw .unavailable("no database") }
        record.withLock { $0.chunks.append(chunks.map(\.chunk)) }
        return try memory.append(chunks)
    }

    // MARK: As it is

    func enqueue(_ jobs: [NewJob]) throws(StoreError) -> [JobID] { try memory.enqueue(jobs) }
    func job(_ id: JobID) throws(StoreError) -> Job { try memory.job(id) }
    func states(of ids: [JobID]) throws(StoreError) -> [JobID: JobState] { try memory.states(of: ids) }
    func progress(of id: JobID) throws(StoreError) -> JSONValue? { try memory.progress(of: id) }
    func readStream(_ id: JobID, after offset: Int) throws(StoreError) -> StreamPart {
        try memory.readStream(id, after: offset)
    }
    func attempts(of id: JobID) throws(StoreError) -> [AttemptRecord] { try memory.attempts(of: id) }
    func cancel(_ id: JobID) throws(StoreError) -> JobState { try memory.cancel(id) }
    func retry(_ id: JobID) throws(StoreError) -> JobState { try memory.retry(id) }
    func replay(_ id: JobID) throws(StoreError) -> JobID { try memory.replay(id) }
    func beat(_ worker: WorkerID, isDraining: Bool) throws(StoreError) -> Pulse {
        try memory.beat(worker, isDraining: isDraining)
    }
    func unregister(_ worker: WorkerID) throws(StoreError) { try memory.unregister(worker) }
    func handBack(of worker: WorkerID, except known: [RunToken]) throws(StoreError) -> [JobID] {
        try memory.handBack(of: worker, except: known)
    }
    func maintain(maximum: Int) throws(StoreError) -> Maintenance { try memory.maintain(maximum: maximum) }
    func workers() throws(StoreError) -> [WorkerSummary] { try memory.workers() }
    func queues() throws(StoreError) -> [QueueSummary] { try memory.queues() }
    func setPaused(_ isPaused: Bool, queue: String) throws(StoreError) {
        try memory.setPaused(isPaused, queue: queue)
    }
    func setPriorityStep(_ seconds: Double, queue: String) throws(StoreError) {
        try memory.setPriorityStep(seconds, queue: queue)
    }
    func setAffinityWindow(_ seconds: Double, queue: String) throws(StoreError) {
        try memory.setAffinityWindow(seconds, queue: queue)
    }
    func setLimit(_ limit: RunLimit) throws(StoreError) { try memory.setLimit(limit) }
    func removeLimit(_ scope: RunLimit.Scope, _ name: String) throws(StoreError) -> Bool {
        try memory.removeLimit(scope, name)
    }
    func limits() throws(StoreError) -> [LimitSummary] { try memory.limits() }
    func setRate(_ rate: JobRate) throws(StoreError) { try memory.setRate(rate) }
    func removeRate(_ scope: RunLimit.Scope, _ name: String, _ unit: JobRate.Unit) throws(StoreError) -> Bool {
        try memory.removeRate(scope, name, unit)
    }
    func rates() throws(StoreError) -> [RateSummary] { try memory.rates() }
    func redrive(_ filter: DeadLetterFilter, after: JobID, maximum: Int) throws(StoreError) -> Redrive {
        try memory.redrive(filter, after: after, maximum: maximum)
    }
    func register(_ model: RegisteredModel) throws(StoreError) { try memory.register(model) }
    func models() throws(StoreError) -> [RegisteredModel] { try memory.models() }
    func model(_ name: String) throws(StoreError) -> RegisteredModel? { try memory.model(name) }
    func removeModel(_ name: String) throws(StoreError) -> Bool { try memory.removeModel(name) }
    func relayEvents(maximum: Int, _ publish: @Sendable ([JobEvent]) async throws -> Void) async throws -> Int {
        try await memory.relayEvents(maximum: maximum, publish)
    }
}
