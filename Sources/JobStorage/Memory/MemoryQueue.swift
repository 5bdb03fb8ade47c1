// The queue as a value: rows as in the tables of migrations/, and the rules of its functions as plain code. The time is
// handed in, in seconds since 1970.
import Foundation
import JSON
import JobModel

struct MemoryQueue: Sendable {
    /// A row of `jobs` with what PostgreSQL keeps in columns that `Job` does not show.
    struct Entry: Sendable {
        var job: Job
        var runAt: Double
        /// While it is in line.
        var place: Place?
        var createdAt: Double
        var uniqueKey: String?
        var limitKey: String?
        /// Jobs that it still waits for, while it is blocked.
        var waitsFor: Set<JobID> = []
        var onDependencyFailure = DependencyFailurePolicy.fail
        var isReusable = true
        var progress: JSONValue?
        var pieces: [Piece] = []
        var attempts: [AttemptRecord] = []
    }

    struct Lane: Hashable, Sendable {
        let queue: String
        let kind: JobKind
        let model: String
    }

    /// Place in the line of a lane: a time, as `millrace.ready.place`.
    struct Place: Comparable, Sendable {
        let time: Double
        let runAt: Double
        let id: JobID

        static func < (one: Place, other: Place) -> Bool { (one.time, one.id) < (other.time, other.id) }
    }

    struct Settings: Sendable {
        var isPaused = false
        /// Seconds that a step of priority is worth.
        var priorityStep = 600.0
        /// Seconds by which a job may be overtaken by later ones that suit a worker better.
        var affinityWindow = 120.0
    }

    struct HeldLease: Sendable {
        let runToken: RunToken
        let worker: WorkerID
        let claimedAt: Double
        let isSuspect: Bool
        let reservations: [Reservation]
        var isCancelRequested = false
    }

    struct Incarnation: Sendable {
        let registration: WorkerRegistration
        let startedAt: Double
        var beatAt: Double
        var isDraining = false
        var isLost = false
        /// Models that it said it has in memory, or was given jobs of, at its last claim.
        var atHand: Set<String> = []
    }

    struct DeadLetter: Sendable {
        let queue: String
        let kind: JobKind
        let code: String
        let failedAt: Double

        init(_ job: Job, failedAt: Double) {
            queue = job.queue
            kind = job.kind
            code = job.error?["code"]?.stringValue ?? ""
            self.failedAt = failedAt
        }
    }

    struct UniqueKey: Hashable, Sendable {
        let kind: JobKind
        let key: String
    }

    /// Kinds, and whether they need a model; as in `millrace.kinds`.
    static let kinds: [JobKind: Bool] = [.generate: true, .score: true, .embed: true, .noop: false]
    /// Seconds; as in `millrace.worker_timeout`.
    static let workerTimeout = 10.0
    /// Bytes of a result that goes with the event; as in `millrace.event`.
    static let eventResultBytes = 65536

    let backoff: Backoff
    var entries: [JobID: Entry] = [:]
    /// Each sorted, never empty.
    var ready: [Lane: [Place]] = [:]
    var scheduled: [JobID: Double] = [:]
    /// Jobs that wait for the one that is the key.
    var dependants: [JobID: Set<JobID>] = [:]
    var deadlines: [JobID: Double] = [:]
    var uniqueKeys: [UniqueKey: JobID] = [:]
    var deadLetters: [JobID: DeadLetter] = [:]
    var leases: [JobID: HeldLease] = [:]
    var workers: [WorkerID: Incarnation] = [:]
    /// Queues that have ever had a job.
    var queues: [String: Settings] = [:]
    var limits: [RunLimit] = []
    var buckets: [Bucket] = []
    var models: [String: RegisteredModel] = [:]
    /// Who is computed.
    var flights: [ReuseKey: JobID] = [:]
    /// Whom the others wait for.
    var followers: [JobID: ReuseKey] = [:]
    var answers: [ReuseKey: Answer] = [:]
    /// By number, ascending.
    var outbox: [JobEvent] = []
    /// Events that a publisher has in hand.
    var takenEvents: Set<Int64> = []
    var lastJob: JobID = 0
    var lastToken: RunToken = 0
    var lastSequence: Int64 = 0

    init(backoff: Backoff) { self.backoff = backoff }

    func job(_ id: JobID) throws(StoreError) -> Job {
        guard let entry = entries[id] else { throw .noSuchJob(id) }
        return entry.job
    }

    // MARK: The line

    private func lane(_ job: Job) -> Lane { Lane(queue: job.queue, kind: job.kind, model: job.model) }

    private func place(_ entry: Entry) -> Place {
        let step = queues[entry.job.queue]!.priorityStep
        return Place(time: entry.runAt + Double(entry.job.priority) * step, runAt: entry.runAt, id: entry.job.id)
    }

    /// The first index whose place is not before this one.
    private static func index(of place: Place, in line: [Place]) -> Int {
        var (low, high) = (0, line.count)
        while low < high {
            let middle = (low + high) / 2
            if line[middle] < place { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func putInLine(_ id: JobID) {
        let entry = entries[id]!
        let place = place(entry)
        entries[id]!.place = place
        var line = ready[lane(entry.job)] ?? []
        line.insert(place, at: Self.index(of: place, in: line))
        ready[lane(entry.job)] = line
        entries[id]!.job.state = .ready
    }

    /// - Returns: false when the job is not in line.
    @discardableResult
    mutating func takeOutOfLine(_ id: JobID) -> Bool {
        guard let entry = entries[id], let place = entry.place, let line = ready[lane(entry.job)] else { return false }
        entries[id]!.place = nil
        let index = Self.index(of: place, in: line)
        if line.count == 1 {
            ready[lane(entry.job)] = nil
        } else {
            ready[lane(entry.job)]!.remove(at: index)
        }
        return true
    }

    /// Takes a job that waits out of the tables that it waits in.
    mutating func takeWaiting(_ id: JobID) -> Bool {
        takeOutOfLine(id) || scheduled.removeValue(forKey: id) != nil || takeBlocked(id)
    }

    // MARK: The end of a job

    /// As `millrace.end_jobs`: the one place where a job ends.
    mutating func end(
        _ id: JobID, _ state: JobState, result: JSONValue? = nil, error: JSONValue? = nil, usage: JSONValue? = nil,
        at now: Double
    ) {
        var entry = entries[id]!
        entry.job.state = state
        entry.job.result = result
        entry.job.error = error ?? (state == .succeeded ? nil : entry.job.error)
        entry.job.usage = usage ?? entry.job.usage
        entry.job.finishedAt = Self.timestamp(now)
        entry.progress = nil
        entry.pieces = []
        entries[id] = entry
        if let key = entry.uniqueKey { uniqueKeys[UniqueKey(kind: entry.job.kind, key: key)] = nil }
        deadlines[id] = nil
        if state == .failed { deadLetters[id] = DeadLetter(entry.job, failedAt: now) }
        lastSequence += 1
        outbox.append(JobEvent(id: id, sequence: lastSequence, event: Self.event(entry.job, at: now)))
        releaseDependants(of: id, at: now)
        landFlight(of: id, at: now)
    }

    /// Members in the order in which PostgreSQL's jsonb keeps them: by length of the name.
    private static func event(_ job: Job, at now: Double) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("id", .integer(job.id)), ("kind", .string(job.kind.rawValue)), ("state", .string(job.state.rawValue)),
        ]
        if let result = job.result, result.text().utf8.count <= eventResultBytes { members.append(("result", result)) }
        members.append(("attempt", .integer(Int64(job.attempt))))
        members.append(("finished_at", .string(timestamp(now, separator: "T") + ":00")))
        return .object(.init(members, uniquingKeysWith: { $1 }))
    }

    /// As PostgreSQL prints it for a session in UTC.
    static func timestamp(_ time: Double, separator: String = " ") -> String {
        let microseconds = Int64((time * 1e6).rounded())
        let (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        let text = Date(timeIntervalSince1970: Double(seconds)).formatted(Date.ISO8601FormatStyle())
        let fraction = String(1_000_000 + rest).dropFirst()
        return text.dropLast().replacing("T", with: separator) + "." + fraction + "+00"
    }
}
