// What clients and operators do: as migrations/0002_insert and 0004_client.
import JSON
import JobModel

extension MemoryQueue {
    mutating func enqueue(_ jobs: [NewJob], at now: Double) throws(StoreError) -> [JobID] {
        for job in jobs { if let fault = fault(of: job) { throw .refused(fault) } }
        var keys: Set<UniqueKey> = []
        for job in jobs {
            guard let key = job.uniqueKey.map({ UniqueKey(kind: job.kind, key: $0) }) else { continue }
            guard uniqueKeys[key] == nil, keys.insert(key).inserted else { throw Self.keyIsTaken }
        }
        for job in jobs {
            if let need = job.dependsOn.first(where: { entries[$0] == nil }) {
                throw .refused("depends_on: there is no job \(need) before this one")
            }
        }
        return jobs.map { insert($0, at: now) }
    }

    private static let keyIsTaken = StoreError.refused("unique_key: an unfinished job of this kind has the same key")

    /// Why a job is refused; nil when it is good. What stands in the input is left to the kind's handler.
    private func fault(of job: NewJob) -> String? {
        guard let needsModel = Self.kinds[job.kind] else { return "kind: unknown kind \"\(job.kind)\"" }
        if needsModel, job.model.isEmpty { return "model: a \(job.kind) job must name a model" }
        if needsModel, models[job.model] == nil { return "model: \"\(job.model)\" is not registered" }
        if !needsModel, !job.model.isEmpty { return "model: a \(job.kind) job has no model" }
        guard job.input.objectValue != nil else { return "input: must be an object, is \(job.input.typeName)" }
        let bounds: [(String, Int?, ClosedRange<Int>)] = [
            ("priority", job.priority, -100...100), ("max_attempts", job.maximumAttempts, 1...1000),
            ("max_worker_deaths", job.maximumWorkerDeaths, 1...1000),
            ("retry_delay", job.retryPolicy?.delay.map { Int($0.rounded(.awayFromZero)) }, 0...2_592_000),
            ("unique_key", job.uniqueKey?.unicodeScalars.count, 1...500),
            ("limit_key", job.limitKey?.unicodeScalars.count, 1...200),
            ("tenant", job.tenant?.unicodeScalars.count, 0...200), ("depends_on", job.dependsOn.count, 0...1000),
        ]
        for (field, value, range) in bounds {
            if let value, !range.contains(value) { return "\(field): out of its range" }
        }
        if let queue = job.queue, queue.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9._\-]{0,99}/) == nil {
            return "queue: out of its range"
        }
        if let metadata = job.metadata, metadata.objectValue == nil { return "metadata: out of its range" }
        return nil
    }

    private mutating func insert(_ new: NewJob, at now: Double) -> JobID {
        lastJob += 1
        let id = lastJob
        let job = Job(
            id: id, kind: new.kind, model: new.model, queue: new.queue ?? "default", priority: new.priority ?? 0,
            state: .ready, attempt: 0, maximumAttempts: new.maximumAttempts ?? 5,
            retryPolicy: new.retryPolicy ?? RetryPolicy(), maximumWorkerDeaths: new.maximumWorkerDeaths ?? 3,
            input: new.input,
            tenant: new.tenant ?? "", metadata: new.metadata ?? [:], createdAt: Self.timestamp(now))
        entries[id] = Entry(
            job: job, runAt: now + (new.delay ?? 0), createdAt: now, uniqueKey: new.uniqueKey,
            limitKey: new.limitKey, onDependencyFailure: new.onDependencyFailure ?? .fail,
            isReusable: new.cache ?? true)
        if let key = new.uniqueKey { uniqueKeys[UniqueKey(kind: new.kind, key: key)] = id }
        deadlines[id] = new.timeToStart.map { now + $0 }
        queues[job.queue] = queues[job.queue] ?? Settings()
        if holdBack(id, for: new.dependsOn) { return id }
        if now + (new.delay ?? 0) > now {
            schedule(id, at: now + (new.delay ?? 0))
        } else {
            putInLine(id)
        }
        return id
    }

    mutating func schedule(_ id: JobID, at time: Double) {
        scheduled[id] = time
        entries[id]!.job.state = .scheduled
    }

    mutating func cancel(_ id: JobID, at now: Double) throws(StoreError) -> JobState {
        guard entries[id] != nil else { throw .noSuchJob(id) }
        if takeWaiting(id) { end(id, .cancelled, at: now) }
        leases[id]?.isCancelRequested = true
        return entries[id]!.job.state
    }

    mutating func retry(_ id: JobID, at now: Double) throws(StoreError) -> JobState {
        let entry = try entry(id)
        guard [.failed, .cancelled, .expired].contains(entry.job.state) else {
            throw .wrongState(
                "id: job \(id) is \(entry.job.state.rawValue); only failed, cancelled and expired jobs are tried again")
        }
        guard beginAnew(id, at: now) else { throw Self.keyIsTaken }
        return .ready
    }

    mutating func replay(_ id: JobID, at now: Double) throws(StoreError) -> JobID {
        let first = try entry(id)
        guard first.job.state == .succeeded else {
            throw .wrongState("id: job \(id) is \(first.job.state.rawValue); only a result can be compared")
        }
        let job = first.job
        let again = insert(
            NewJob(
                kind: job.kind, model: job.model, input: job.input, queue: job.queue, priority: job.priority,
                maximumAttempts: job.maximumAttempts, retryPolicy: job.retryPolicy,
                maximumWorkerDeaths: job.maximumWorkerDeaths, tenant: job.tenant, limitKey: first.limitKey,
                metadata: job.metadata), at: now)
        // Templates may print the date.
        entries[again]!.createdAt = first.createdAt
        entries[again]!.job.createdAt = job.createdAt
        entries[again]!.job.replayOf = id
        entries[again]!.isReusable = false
        return again
    }

    /// - Returns: false when another job has its key meanwhile.
    private mutating func beginAnew(_ id: JobID, at now: Double) -> Bool {
        var entry = entries[id]!
        if let key = entry.uniqueKey.map({ UniqueKey(kind: entry.job.kind, key: $0) }) {
            guard uniqueKeys[key] == nil else { return false }
            uniqueKeys[key] = id
        }
        entry.job.result = nil
        // What it had is no longer told.
        outbox = outbox.map { $0.id == id ? $0.withoutResult : $0 }
        entry.job.usage = nil
        entry.job.finishedAt = nil
        entry.job.failures = 0
        entry.job.workerDeaths = 0
        entry.runAt = now
        entries[id] = entry
        deadLetters[id] = nil
        putInLine(id)
        return true
    }

    mutating func redrive(_ filter: DeadLetterFilter, after: JobID, maximum: Int, at now: Double) -> Redrive {
        let found = deadLetters.filter { id, letter in
            id > after && filter.queue.map { $0 == letter.queue } ?? true
                && filter.kind.map { $0 == letter.kind.rawValue } ?? true
                && filter.code.map { $0 == letter.code } ?? true
                && filter.failedWithin.map { letter.failedAt >= now - $0 } ?? true
        }.keys.sorted().prefix(maximum)
        return Redrive(seen: found.count, last: found.last, redriven: found.filter { beginAnew($0, at: now) })
    }

    private func entry(_ id: JobID) throws(StoreError) -> Entry {
        guard let entry = entries[id] else { throw .noSuchJob(id) }
        return entry
    }

    // MARK: Overview

    func workerSummaries(at now: Double) -> [WorkerSummary] {
        workers.values.sorted { ($0.startedAt, $0.registration.id) < ($1.startedAt, $1.registration.id) }.map {
            worker in
            WorkerSummary(
                id: worker.registration.id, name: worker.registration.name, host: worker.registration.host,
                processID: Int(worker.registration.processID),
                state: isDead(worker, at: now) ? "lost" : worker.isDraining ? "draining" : "alive",
                running: leases.values.count { $0.worker == worker.registration.id },
                startedAt: Self.timestamp(worker.startedAt), silence: now - worker.beatAt)
        }
    }

    func queueSummaries(at now: Double) -> [QueueSummary] {
        queues.sorted { $0.key < $1.key }.map { queue, settings in
            let lanes = ready.filter { $0.key.queue == queue }.values
            func count(_ ids: some Sequence<JobID>) -> Int { ids.count { entries[$0]!.job.queue == queue } }
            return QueueSummary(
                queue: queue, isPaused: settings.isPaused, priorityStep: settings.priorityStep,
                affinityWindow: settings.affinityWindow,
                ready: lanes.reduce(0) { $0 + $1.count },
                scheduled: count(scheduled.keys), running: count(leases.keys),
                dead: deadLetters.values.count { $0.queue == queue },
                oldest: lanes.joined().map(\.runAt).min().map { now - $0 })
        }
    }
}
