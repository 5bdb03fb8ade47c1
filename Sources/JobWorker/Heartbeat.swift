// The sign of life. It has an operating-system thread and a connection of its own: compute threads keep all cores busy,
// and a beat that waits behind them would make a healthy worker look dead.
import Foundation
import Glibc
import JobModel
import JobStorage
import Logging
import PostgresClient
import Synchronization

/// Beats every `interval` seconds until stopped; tells of cancelled jobs, and when the worker was found dead.
package final class Heartbeat: Sendable {
    package enum Event: Sendable, Equatable {
        case cancelled([JobID])
        /// The leases are gone; everything that runs is in vain.
        case lost
    }

    package let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    private let isStopped = Atomic<Bool>(false)
    private let isDraining = Atomic<Bool>(false)
    private let wake = DispatchSemaphore(value: 0)

    /// One beat, which may block its thread; `isDraining` says that the worker takes no more jobs.
    package typealias Beat = (_ isDraining: Bool) throws -> Pulse

    /// Beats in the database.
    package convenience init(
        _ configuration: PostgresConfiguration, worker: WorkerID, interval: Double = 2, logger: Logger
    ) {
        // Short against the time after which the worker counts as dead: a connection that got stuck leaves time for the
        // next one.
        let configuration = configuration.timeouts(connect: 2, answer: 2)
        self.init(interval: interval, logger: logger) {
            var handle: PostgresHandle?
            return { isDraining in
                do throws(PostgresError) {
                    let connection: PostgresHandle
                    if let handle { connection = handle } else { connection = try PostgresHandle(configuration) }
                    handle = connection
                    return try WorkerSQL.pulse(try connection.query(WorkerSQL.beat, [worker, isDraining])[0])
                } catch {
                    handle = nil
                    throw error
                }
            }
        }
    }

    /// - Parameter makeBeat: called once, on the heartbeat's own thread, where every beat will be made.
    package init(interval: Double, logger: Logger, makeBeat: @escaping @Sendable () -> Beat) {
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
        let thread = Thread { [self] in
            run(makeBeat(), interval, logger)
            continuation.finish()
        }
        thread.name = "heartbeat"
        thread.start()
    }

    /// The next beats say that the worker takes no more jobs.
    package func drain() {
        isDraining.store(true, ordering: .relaxed)
        wake.signal()
    }

    package func stop() {
        isStopped.store(true, ordering: .relaxed)
        wake.signal()
    }

    private func run(_ beat: Beat, _ interval: Double, _ logger: Logger) {
        var failures = 0
        while !isStopped.load(ordering: .relaxed) {
            do {
                let pulse = try beat(isDraining.load(ordering: .relaxed))
                if failures > 0 { logger.notice("the heartbeat goes on after \(failures) failed tries") }
                failures = 0
                if !pulse.cancelled.isEmpty { continuation.yield(.cancelled(pulse.cancelled)) }
                if !pulse.isAlive {
                    continuation.yield(.lost)
                    return
                }
            } catch {
                failures += 1
                // Once, not at every try of a long outage.
                logger.log(level: failures == 1 ? .warning : .debug, "a heartbeat failed: \(error)")
            }
            _ = wake.wait(timeout: .now() + (failures == 0 ? interval : min(interval, 1)))
        }
    }
}
