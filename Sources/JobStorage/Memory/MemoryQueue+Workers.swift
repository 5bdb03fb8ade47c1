// What workers do: as migrations/0003_worker. The claim has a file of its own.
import JSON
import JobModel

extension MemoryQueue {
    func isDead(_ worker: Incarnation, at now: Double) -> Bool {
        worker.isLost || worker.beatAt < now - Self.workerTimeout
    }

    mutating func register(_ worker: WorkerRegistration, at now: Double) throws(StoreError) {
        guard workers[worker.id] == nil else { throw .refused("id: worker \(worker.id) is registered already") }
        workers[worker.id] = Incarnation(registration: worker, startedAt: now, beatAt: now)
    }

    mutating func beat(_ id: WorkerID, isDraining: Bool, at now: Double) -> Pulse {
        let isAlive = workers[id].map { !$0.isLost } ?? false
        if isAlive {
            workers[id]!.beatAt = now
            workers[id]!.isDraining = isDraining
        }
        let cancelled = leases.filter { $0.value.worker == id && $0.value.isCancelRequested }.keys
        return Pulse(isAlive: isAlive, cancelled: cancelled.sorted())
    }

    /// What is still held then is rescued at once.
    mutating func unregister(_ id: WorkerID) {
        if leases.values.contains(where: { $0.worker == id }) {
            workers[id]?.isLost = true
        } else {
            workers[id] = nil
        }
    }

    mutating func take(_ id: JobID, _ worker: WorkerID, prefix: String?, at now: Double) -> Lease {
        takeOutOfLine(id)
        lastToken += 1
        leases[id] = HeldLease(
            runToken: lastToken, worker: worker, claimedAt: now, isSuspect: isSuspect(id),
            reservations: reserve(id, at: now))
        var entry = entries[id]!
        entry.job.state = .running
        entry.job.attempt += 1
        entry.job.startedAt = Self.timestamp(now)
        entries[id] = entry
        let job = entry.job
        return Lease(
            id: id, runToken: lastToken, kind: job.kind, model: job.model, input: job.input, queue: job.queue,
            priority: job.priority, attempt: job.attempt, maximumAttempts: job.maximumAttempts,
            retryPolicy: job.retryPolicy, failures: job.failures, tenant: job.tenant,
            createdAt: entry.createdAt, prefix: prefix, progress: entry.progress,
            written: written(id))
    }

    mutating func report(_ reports: [ProgressReport]) -> [JobID: Bool] {
        var held: [JobID: Bool] = [:]
        for report in reports {
            guard let lease = leases[report.id], lease.runToken == report.runToken else { continue }
            entries[report.id]!.progress = report.progress
            held[report.id] = lease.isCancelRequested
        }
        return held
    }

    // MARK: Ends of attempts

    /// An attempt that ended, its lease still held.
    private struct Ended {
        let id: JobID
        let ending: Transition.Ending
        var outcome = Outcome.released()
        var error: JSONValue?
        var delay = 0.0
    }

    mutating func complete(_ completions: [Completion], at now: Double) -> [JobID: JobState] {
        var ended: [JobID: Ended] = [:]
        for completion in completions where ended[completion.lease.id] == nil {
            let id = completion.lease.id
            guard leases[id]?.runToken == completion.lease.runToken else { continue }
            ended[id] = Ended(
                id: id, ending: completion.outcome.ending, outcome: completion.outcome,
                error: completion.outcome.failure?.json, delay: completion.delay(backoff))
        }
        return settle(Array(ended.values), at: now)
    }

    mutating func handBack(of worker: WorkerID, except known: [RunToken], at now: Double) -> [JobID] {
        let unknown = leases.filter { $0.value.worker == worker && !known.contains($0.value.runToken) }
        return settle(unknown.map { Ended(id: $0.key, ending: .released) }, at: now).keys.sorted()
    }

    private mutating func settle(_ ended: [Ended], at now: Double) -> [JobID: JobState] {
        var states: [JobID: JobState] = [:]
        for end in ended.sorted(by: { $0.id < $1.id }) { states[end.id] = settle(end, at: now) }
        return states
    }

    private mutating func settle(_ ended: Ended, at now: Double) -> JobState {
        let id = ended.id
        let lease = leases.removeValue(forKey: id)!
        settle(lease.reservations, ended.ending, ended.outcome.usage, at: now)
        let job = entries[id]!.job
        let state = Transition.state(
            after: ended.ending, cancelRequested: lease.isCancelRequested, delay: ended.delay, job: job)
        let error = ended.ending == .lost ? Self.lossError(job, state) : ended.error
        if let ending = Self.historyEnding(ended.ending, state) {
            entries[id]!.attempts.append(
                AttemptRecord(
                    attempt: job.attempt, runToken: lease.runToken, worker: lease.worker, ending: ending,
                    error: error, finishedAt: Self.timestamp(now), seconds: now - lease.claimedAt))
        }
        guard state == .ready || state == .scheduled else {
            end(id, state, result: ended.outcome.result, error: error, usage: ended.outcome.usage, at: now)
            return state
        }
        entries[id]!.job.error = error ?? job.error
        if ended.ending == .released { entries[id]!.job.attempt -= 1 }
        if ended.ending == .retry { entries[id]!.job.failures += 1 }
        if state == .ready { putInLine(id) } else { schedule(id, at: now + ended.delay) }
        return state
    }

    /// nil: the job's row tells all.
    private static func historyEnding(_ ending: Transition.Ending, _ state: JobState) -> AttemptRecord.Ending? {
        switch ending {
        case .succeeded, .cancelled: nil
        case .failed: .failed
        case .retry: state == .failed ? .failed : .retried
        case .lost: .lost
        case .released: .released
        }
    }

    // MARK: Upkeep

    mutating func rescue(maximum: Int, at now: Double) -> Int {
        let dead = Set(workers.values.filter { isDead($0, at: now) }.map(\.registration.id))
        for id in dead { workers[id]!.isLost = true }
        // All that a worker held are to blame for its death, unless there was a suspect among them: then it alone is.
        let suspected = Set(leases.values.filter(\.isSuspect).map(\.worker))
        let orphans = leases.filter { dead.contains($0.value.worker) }
            .sorted { ($0.value.isSuspect ? 1 : 0, $0.key) < ($1.value.isSuspect ? 1 : 0, $1.key) }.prefix(maximum)
        for (id, lease) in orphans where lease.isSuspect || !suspected.contains(lease.worker) {
            entries[id]!.job.workerDeaths += 1
        }
        _ = settle(orphans.map { Ended(id: $0.key, ending: .lost) }, at: now)
        let holders = Set(leases.values.map(\.worker))
        for id in dead.subtracting(holders) { workers[id] = nil }
        return orphans.count
    }

    private static func lossError(_ job: Job, _ state: JobState) -> JSONValue {
        state == .failed
            ? ["code": "poison", "message": .string("\(job.workerDeaths) workers died while they ran the job")]
            : ["code": "worker_lost", "message": "the worker that ran the job died"]
    }

    mutating func promote(maximum: Int, at now: Double) -> Int {
        let due = Self.due(scheduled, maximum, now)
        for id in due {
            scheduled[id] = nil
            putInLine(id)
        }
        return due.count
    }

    mutating func expire(maximum: Int, at now: Double) -> Int {
        let error: JSONValue = ["code": "expired", "message": "the deadline passed before the job began"]
        let late = Self.due(deadlines, maximum, now)
        let missed = late.filter { entries[$0]!.job.startedAt == nil && takeWaiting($0) }.sorted()
        for id in missed { end(id, .expired, error: error, at: now) }
        for id in late { deadlines[id] = nil }
        return missed.count
    }

    private static func due(_ times: [JobID: Double], _ maximum: Int, _ now: Double) -> [JobID] {
        times.filter { $0.value <= now }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.prefix(maximum).map(\.key)
    }
}
