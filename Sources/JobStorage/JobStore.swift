// The seam between the queue's rules and where the queue is kept. `PostgresJobStore` is what runs; `MemoryJobStore` is for
// tests and trials without a server. One conformance suite holds for both.
import Foundation
import JSON
import JobModel

/// What can go wrong with a store.
package enum StoreError: Error, Sendable, CustomStringConvertible {
    /// The job was refused; the message begins with the field's name.
    case refused(String)
    case noSuchJob(JobID)
    /// The job's state does not allow it.
    case wrongState(String)
    /// The worker was found dead; it has to start over under a new id.
    case workerLost
    /// The store can't be reached, or the statement may succeed when it is sent again.
    case unavailable(String)
    case broken(String)

    package var description: String {
        switch self {
        case .refused(let message), .wrongState(let message), .unavailable(let message), .broken(let message): message
        case .noSuchJob(let id): "id: there is no job \(id)"
        case .workerLost: "worker: not registered or found dead"
        }
    }
}

/// What a worker wants.
package struct ClaimRequest: Sendable {
    package var worker: WorkerID
    package var queues: [String]
    package var kinds: [JobKind]
    /// Models that it can serve; kinds that need none are claimed in any case.
    package var models: [String]
    package var maximum: Int
    /// nil: all models are at hand, and every job is as welcome as the next.
    package var affinity: Affinity?

    package init(
        worker: WorkerID, queues: [String], kinds: [JobKind], models: [String], maximum: Int, affinity: Affinity? = nil
    ) {
        self.worker = worker
        self.queues = queues
        self.kinds = kinds
        self.models = models
        self.maximum = maximum
        self.affinity = affinity
    }
}

/// A worker process, as it announces itself.
package struct WorkerRegistration: Sendable {
    package var id: WorkerID
    package var name: String
    package var host: String
    package var processID: Int32
    package var profile: JSONValue

    package init(id: WorkerID, name: String, host: String, processID: Int32, profile: JSONValue) {
        self.id = id
        self.name = name
        self.host = host
        self.processID = processID
        self.profile = profile
    }
}

/// What a heartbeat answers.
package struct Pulse: Sendable, Equatable {
    /// False: found dead; the leases are gone.
    package var isAlive: Bool
    /// Own jobs that clients want stopped.
    package var cancelled: [JobID]

    package init(isAlive: Bool, cancelled: [JobID]) {
        self.isAlive = isAlive
        self.cancelled = cancelled
    }
}

/// What a running job has so far.
package struct ProgressReport: Sendable {
    package var id: JobID
    package var runToken: RunToken
    package var progress: JSONValue

    package init(id: JobID, runToken: RunToken, progress: JSONValue) {
        self.id = id
        self.runToken = runToken
        self.progress = progress
    }
}

/// How much `maintain` found to do.
package struct Maintenance: Sendable, Equatable {
    package var rescued = 0
    package var promoted = 0
    package var expired = 0
    package init(rescued: Int = 0, promoted: Int = 0, expired: Int = 0) {
        self.rescued = rescued
        self.promoted = promoted
        self.expired = expired
    }
}

package protocol JobStore: Sendable {
    // MARK: Clients
    /// All or none; ids in the order of the jobs.
    func enqueue(_ jobs: [NewJob]) async throws(StoreError) -> [JobID]
    func job(_ id: JobID) async throws(StoreError) -> Job
    /// States of those of the jobs that exist.
    func states(of ids: [JobID]) async throws(StoreError) -> [JobID: JobState]
    /// What a job that has not ended has so far; nil when nothing is stored.
    func progress(of id: JobID) async throws(StoreError) -> JSONValue?
    /// What a generate job has written behind so many bytes: of a running job what is stored, of an ended one the rest.
    func readStream(_ id: JobID, after offset: Int) async throws(StoreError) -> StreamPart
    /// Attempts that brought no result, oldest first.
    func attempts(of id: JobID) async throws(StoreError) -> [AttemptRecord]
    /// - Returns: the job's state afterwards; `running` means that the worker is told.
    func cancel(_ id: JobID) async throws(StoreError) -> JobState
    func retry(_ id: JobID) async throws(StoreError) -> JobState
    /// Inserts a succeeded job once more, to compare the results.
    func replay(_ id: JobID) async throws(StoreError) -> JobID

    // MARK: Workers
    func register(_ worker: WorkerRegistration) async throws(StoreError)
    func beat(_ worker: WorkerID, isDraining: Bool) async throws(StoreError) -> Pulse
    func unregister(_ worker: WorkerID) async throws(StoreError)
    /// Most urgent first; each with a run token larger than all before. Jobs whose result is known from an equal one end at
    /// once, and those whose equal runs follow it: neither is among them.
    func claim(_ request: ClaimRequest) async throws(StoreError) -> [Lease]
    /// Ends attempts, all in one transaction. A stale one changes nothing.
    /// - Returns: the jobs whose lease was still held, with their state afterwards.
    func complete(_ completions: [Completion]) async throws(StoreError) -> [JobID: JobState]
    /// Hands back, attempt refunded, what the worker holds beside these attempts: jobs of a claim whose answer was lost.
    /// To be called when no claim of the worker is under way.
    /// - Returns: the jobs.
    func handBack(of worker: WorkerID, except known: [RunToken]) async throws(StoreError) -> [JobID]
    /// - Returns: for each job still held, whether a client wants it stopped.
    func report(_ progress: [ProgressReport]) async throws(StoreError) -> [JobID: Bool]
    /// Adds what jobs have written, at most one piece for each; one that is there already changes nothing.
    /// - Returns: as `report`.
    func append(_ chunks: [ChunkReport]) async throws(StoreError) -> [JobID: Bool]
    /// Takes jobs of dead workers back, puts due jobs in line, ends those that missed their deadline: `maximum` of each.
    func maintain(maximum: Int) async throws(StoreError) -> Maintenance

    // MARK: Operators
    func workers() async throws(StoreError) -> [WorkerSummary]
    func queues() async throws(StoreError) -> [QueueSummary]
    /// Nothing is claimed from a paused queue; what runs goes on.
    func setPaused(_ isPaused: Bool, queue: String) async throws(StoreError)
    /// Seconds that a step of priority is worth, 0 to 100 days; for jobs that come to the line from now on.
    func setPriorityStep(_ seconds: Double, queue: String) async throws(StoreError)
    /// Seconds by which a job may be overtaken by later ones that suit a worker better, 0 to 100 days.
    func setAffinityWindow(_ seconds: Double, queue: String) async throws(StoreError)
    /// So many jobs of the queue or tenant, or with the key, may run at a time.
    func setLimit(_ limit: RunLimit) async throws(StoreError)
    /// - Returns: false when there is none.
    func removeLimit(_ scope: RunLimit.Scope, _ name: String) async throws(StoreError) -> Bool
    /// By scope and name.
    func limits() async throws(StoreError) -> [LimitSummary]
    /// So many jobs or tokens of the queue or tenant, or with the key, may begin in a second. A new bucket is full.
    func setRate(_ rate: JobRate) async throws(StoreError)
    /// - Returns: false when there is none.
    func removeRate(_ scope: RunLimit.Scope, _ name: String, _ unit: JobRate.Unit) async throws(StoreError) -> Bool
    /// By scope, name and unit.
    func rates() async throws(StoreError) -> [RateSummary]
    /// Puts failed jobs with ids above `after` in line again, up to `maximum`.
    func redrive(_ filter: DeadLetterFilter, after: JobID, maximum: Int) async throws(StoreError) -> Redrive

    // MARK: Registry of models
    /// Adds a model, or gives a known name a new file.
    func register(_ model: RegisteredModel) async throws(StoreError)
    func models() async throws(StoreError) -> [RegisteredModel]
    func model(_ name: String) async throws(StoreError) -> RegisteredModel?
    /// - Returns: false when there is no such model.
    func removeModel(_ name: String) async throws(StoreError) -> Bool

    // MARK: Publisher
    /// Hands over up to `maximum` events, oldest first; they are deleted when `publish` returns, and stay if it throws.
    /// - Returns: how many were handed over.
    func relayEvents(maximum: Int, _ publish: @Sendable ([JobEvent]) async throws -> Void) async throws -> Int
}
