// A worker with a fake handler and a store in memory, whose clock the test moves.
import Foundation
import InMemoryLogging
import JSON
import JobModel
import JobStorage
import JobWorker
import Logging
import Synchronization

final class Workshop: Sendable {
    let store: ObservedStore
    let handler: FakeHandler
    let worker: Worker
    let log = InMemoryLogHandler()
    private let signals: AsyncStream<QueueSignals.Work>.Continuation
    private let work: AsyncStream<QueueSignals.Work>

    /// - Parameters:
    ///   - poll: seconds between looks at the queue without a signal.
    ///   - beats: whether the worker has a heartbeat.
    init(places: Int, poll: Double = 3600, drainTimeout: Double = 3600, beats: Bool = false) {
        let clock = Clock()
        self.clock = clock
        let store = ObservedStore(
            MemoryJobStore(backoff: Backoff(first: 60, longest: 600, jitter: 0), clock: { clock.read() }))
        self.store = store
        handler = FakeHandler(places: places)
        (work, signals) = AsyncStream.makeStream()
        var logger = Logger(label: "worker", factory: { [log] _ in log })
        logger.logLevel = .debug
        worker = Worker(
            profile: WorkerProfile(name: "test", pollInterval: poll, drainTimeout: drainTimeout), store: store,
            handlers: [handler], logger: logger
        ) { [logger] id in
            guard beats else { return nil }
            return Heartbeat(interval: 0.005, logger: logger) {
                { isDraining in try clock.beats.withLock { _ in try store.beat(id, isDraining: isDraining) } }
            }
        }
    }

    /// Runs the worker beside `body`, and drains it afterwards.
    func run(_ body: (inout AsyncStream<FakeHandler.Event>.Iterator) async throws -> Void) async throws {
        let running = Task { await worker.run(work: work) }
        var events = handler.events.makeAsyncIterator()
        do {
            try await body(&events)
        } catch {
            worker.drain()
            throw error
        }
        worker.drain()
        await running.value
    }

    func signal(_ work: QueueSignals.Work) { signals.yield(work) }

    /// Puts noop jobs in line and wakes the worker.
    func enqueue(_ count: Int = 1, delay: Double? = nil) throws -> [JobID] {
        let ids = try store.enqueue((0..<count).map { _ in NewJob(kind: .noop, input: [:], delay: delay) })
        signal(.ready(queue: "default"))
        return ids
    }

    /// Ends a job and returns when the store has taken its outcome.
    func end(_ lease: Lease, _ outcome: Outcome) async throws -> Job {
        handler.end(lease, outcome)
        return try await settled(lease)
    }

    /// Returns when the attempt is no longer the store's.
    func settled(_ lease: Lease) async throws -> Job {
        while true {
            let job = try store.job(lease.id)
            if job.state != .running || job.attempt != lease.attempt { return job }
            await Task.yield()
        }
    }

    /// So long that every worker is silent for too long; another one's tick takes their jobs.
    func passesForDead() throws {
        // A beat between the two would make the worker look alive.
        try clock.beats.withLock { _ in
            clock.advance(60)
            _ = try store.maintain(maximum: 100)
        }
    }

    func advance(_ seconds: Double) { clock.advance(seconds) }

    /// Messages of at least this level, with the job that they are about.
    func messages(_ level: Logger.Level, job: JobID) -> [String] {
        log.entries.filter { $0.level >= level && $0.metadata["job_id"] == "\(job)" }.map { "\($0.message)" }
    }

    private let clock: Clock

    private final class Clock: Sendable {
        private let now = Mutex(1_700_000_000.0)
        /// Held during a beat, and while there must be none.
        let beats = Mutex(())
        func read() -> Double {
            now.withLock { now in
                now += 1e-6
                return now
            }
        }
        func advance(_ seconds: Double) { now.withLock { $0 += seconds } }
    }
}

extension AsyncStream<FakeHandler.Event>.Iterator {
    /// The next attempt that started; nothing else may happen before.
    mutating func started() async throws -> Lease {
        guard case .started(let lease) = await next(isolation: #isolation) else { throw Unexpected() }
        return lease
    }

    mutating func stopped() async throws -> Lease {
        guard case .stopped(let lease) = await next(isolation: #isolation) else { throw Unexpected() }
        return lease
    }
}

struct Unexpected: Error {}
