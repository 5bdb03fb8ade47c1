// The worker: claims what its handlers can start, has it done, and reports. Reads from top to bottom: live, look, start,
// finish, drain.
import Foundation
import JSON
import JobModel
import JobStorage
import Logging

package actor Worker {
    /// Why a running job was stopped from here.
    private enum StopReason { case cancelled, draining, stale }

    private struct Running {
        let lease: Lease
        let task: Task<Void, Never>
        var reason: StopReason?
    }

    private let profile: WorkerProfile
    private let store: any JobStore
    private let handlers: [any JobHandler]
    private let logger: Logger
    private let completer: Completer
    private let reporter: ProgressReporter
    private let beginHeartbeat: @Sendable (WorkerID) -> Heartbeat?
    private let inbox = Inbox()
    private var running: [JobID: Running] = [:]
    private var id = WorkerID()
    /// A claim failed, perhaps only its answer: the store may hold leases for this worker that it knows nothing of.
    private var mayHoldUnknown = false

    /// - Parameters:
    ///   - stored: told of pieces of text that have been stored.
    ///   - beginHeartbeat: starts the sign of life of an incarnation; nil for a store that needs none.
    package init(
        profile: WorkerProfile, store: any JobStore, handlers: [any JobHandler], logger: Logger,
        stored: @escaping @Sendable ([ChunkReport]) -> Void = { _ in },
        beginHeartbeat: @escaping @Sendable (WorkerID) -> Heartbeat?
    ) {
        self.profile = profile
        self.store = store
        self.handlers = handlers
        self.logger = logger
        self.beginHeartbeat = beginHeartbeat
        completer = Completer(store: store, logger: logger)
        reporter = ProgressReporter(store: store, logger: logger, fullAfter: profile.streamTokens, stored: stored)
    }

    /// Works until `drain` was called and everything has ended.
    /// - Parameter work: wake-ups from the database; polling goes on beside them.
    package func run(work: AsyncStream<QueueSignals.Work>) async {
        let senders = listen(to: work)
        defer { for sender in senders { sender.cancel() } }
        var isDraining = false
        while !isDraining { isDraining = await live() }
        for handler in handlers { await handler.shutDown() }
    }

    /// From now on nothing is claimed; what runs may end within the profile's time and is handed back after it.
    package nonisolated func drain() { inbox.leave { $0.drain = true } }

    // MARK: Live

    /// One incarnation.
    /// - Returns: true at the end of a drain, false when the worker was found dead and has to start over.
    private func live() async -> Bool {
        id = WorkerID()
        guard await register() else { return true }
        let heartbeat = beginHeartbeat(id)
        defer { heartbeat?.stop() }
        let pulse = heartbeat.map { heartbeat in
            Task { [inbox, id] in
                for await event in heartbeat.events {
                    switch event {
                    case .cancelled(let ids): inbox.leave { $0.cancelled.formUnion(ids) }
                    case .lost: inbox.leave { $0.lost.insert(id) }
                    }
                }
            }
        }
        defer { pulse?.cancel() }
        var claimsFail = false
        for await _ in inbox.rings {
            let notes = inbox.take()
            stop(notes)
            if notes.lost.contains(id) {
                await abandon()
                if notes.drain { drain() }
                return false
            }
            if notes.drain {
                heartbeat?.drain()
                await finishRunning()
                try? await store.unregister(id)
                return true
            }
            do throws(StoreError) {
                if mayHoldUnknown { try await handBackUnknown() }
                try await look()
            } catch {
                if case .workerLost = error {
                    await abandon()
                    return false
                }
                mayHoldUnknown = true
                // Once, not at every look of a long outage.
                logger.log(level: claimsFail ? .debug : .warning, "claiming is interrupted: \(error)")
                claimsFail = true
                continue
            }
            if claimsFail { logger.notice("claiming goes on") }
            claimsFail = false
        }
        return true
    }

    private func register() async -> Bool {
        let registration = WorkerRegistration(
            id: id, name: profile.name, host: ProcessInfo.processInfo.hostName,
            processID: ProcessInfo.processInfo.processIdentifier, profile: profile.json)
        var wasTold = false
        while true {
            do throws(StoreError) {
                try await store.register(registration)
                logger.info("worker \(id) serves \(profile.queues.joined(separator: ", "))")
                return true
            } catch {
                if !wasTold { logger.error("the worker can't register, and keeps trying: \(error)") }
                wasTold = true
            }
            if inbox.take().drain { return false }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Everything that rings the bell beside the heartbeat.
    private func listen(to work: AsyncStream<QueueSignals.Work>) -> [Task<Void, Never>] {
        let capacity = handlers.map { handler in
            Task { [inbox] in for await _ in handler.capacity { inbox.leave { $0.look = true } } }
        }
        let signals = Task { [inbox, queues = profile.queues] in
            for await signal in work {
                switch signal {
                case .ready(let queue) where queue.map(queues.contains) ?? true: inbox.leave { $0.look = true }
                case .ready: break
                case .cancel(let id): inbox.leave { $0.cancelled.insert(id) }
                }
            }
        }
        let progress = Task { [inbox, reporter, interval = profile.streamInterval] in
            let ticks = Ticks(wake: reporter.isFull, interval: interval)
            for await _ in ticks.stream {
                let stops = await reporter.flush()
                guard !stops.cancelled.isEmpty || !stops.lost.isEmpty else { continue }
                inbox.leave { notes in
                    notes.cancelled.formUnion(stops.cancelled)
                    notes.stale.merge(stops.lost) { $1 }
                }
            }
        }
        let poll = Task { [inbox, store, logger, interval = profile.pollInterval] in
            while !Task.isCancelled {
                do throws(StoreError) {
                    _ = try await store.maintain(maximum: 1000)
                } catch {
                    logger.debug("maintenance is interrupted: \(error)")
                }
                inbox.leave { $0.look = true }
                // Jitter, so that a fleet that started together does not poll together.
                try? await Task.sleep(for: .seconds(interval * Double.random(in: 0.8...1.2)))
            }
        }
        return capacity + [signals, progress, poll]
    }

    // MARK: Look, start

    /// Claims until the handlers are full or the queue is empty.
    private func look() async throws(StoreError) {
        for handler in handlers {
            while true {
                let demand = await handler.demand()
                guard demand.jobs > 0 else { break }
                let leases = try await store.claim(
                    ClaimRequest(
                        worker: id, queues: profile.queues, kinds: handler.kinds, models: demand.models,
                        maximum: demand.jobs, affinity: demand.affinity))
                for lease in leases { start(lease, handler) }
                if leases.count < demand.jobs { break }
            }
        }
    }

    private func handBackUnknown() async throws(StoreError) {
        let jobs = try await store.handBack(of: id, except: running.values.map(\.lease.runToken))
        mayHoldUnknown = false
        for job in jobs {
            logger.notice("a claim's answer was lost, its job goes back", metadata: ["job_id": "\(job)"])
        }
    }

    private func start(_ lease: Lease, _ handler: any JobHandler) {
        handler.willRun(lease)
        let task = Task { [reporter] in
            let outcome = await handler.run(lease, progress: reporter.sink(for: lease))
            await finish(lease, outcome)
        }
        running[lease.id] = Running(lease: lease, task: task)
        logger.debug("job started", metadata: lease.metadata)
    }

    private func stop(_ notes: Inbox.Notes) {
        for job in notes.cancelled { stop(job, .cancelled) }
        for (job, token) in notes.stale where running[job]?.lease.runToken == token { stop(job, .stale) }
    }

    private func stop(_ job: JobID, _ reason: StopReason) {
        guard let attempt = running[job], attempt.reason == nil || reason == .stale else { return }
        if reason == .stale, attempt.reason != .stale {
            logger.info("attempt dropped: its lease is gone", metadata: attempt.lease.metadata)
        }
        running[job]?.reason = reason
        attempt.task.cancel()
    }

    // MARK: Finish

    private func finish(_ lease: Lease, _ outcome: Outcome) async {
        let reason = running[lease.id]?.reason
        if reason == .draining {
            // One piece may be under way, and one behind it.
            for _ in 0..<2 { _ = await reporter.flush() }
        }
        reporter.forget(lease)
        if let accepted = Self.accepted(outcome, reason) {
            let state = await completer.complete(Completion(lease: lease, outcome: accepted))
            if let state {
                logger.debug("job ended: \(state.rawValue)", metadata: lease.metadata)
            } else {
                logger.info("outcome dropped: the attempt's lease is gone", metadata: lease.metadata)
            }
        }
        if running[lease.id]?.lease.runToken == lease.runToken { running[lease.id] = nil }
        inbox.leave { $0.ended = true }
    }

    /// What is reported of an outcome; nil when nobody wants to know.
    private static func accepted(_ outcome: Outcome, _ reason: StopReason?) -> Outcome? {
        switch (reason, outcome) {
        case (.stale, _): nil
        case (.draining, .cancelled), (nil, .cancelled): .released()
        default: outcome
        }
    }

    // MARK: Drain

    private func finishRunning() async {
        logger.info("draining: \(running.count) jobs run")
        let deadline = Task { [inbox, timeout = profile.drainTimeout] in
            try await Task.sleep(for: .seconds(timeout))
            inbox.leave { $0.timeUp = true }
        }
        defer { deadline.cancel() }
        if running.isEmpty { return }
        for await _ in inbox.rings {
            if running.isEmpty { return }
            let notes = inbox.take()
            stop(notes)
            if notes.lost.contains(id) {
                dropAll()
            } else if notes.timeUp {
                for job in running.keys { stop(job, .draining) }
            }
        }
    }

    private func dropAll() {
        logger.error("worker \(id) was found dead; its \(running.count) jobs are dropped")
        for job in running.keys { stop(job, .stale) }
    }

    /// The leases are gone: nothing that runs here may be reported.
    private func abandon() async {
        dropAll()
        for job in running.values { await job.task.value }
        mayHoldUnknown = false
    }
}

extension Lease {
    /// What a log says of an attempt.
    fileprivate var metadata: Logger.Metadata {
        ["job_id": "\(id)", "attempt": "\(attempt)", "run_token": "\(runToken)"]
    }
}
