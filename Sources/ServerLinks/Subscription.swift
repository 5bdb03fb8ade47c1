// A thread that keeps a connection on which a server speaks unasked: connects, reads until the connection is lost, and
// connects again.
import Foundation
import Logging
import Synchronization

package final class Subscription<Event: Sendable>: Sendable {
    /// What one connection of the thread may do.
    package struct Session {
        fileprivate let subscription: Subscription
        fileprivate let onEstablished: () -> Void

        package var isStopped: Bool { subscription.isStopped.load(ordering: .relaxed) }

        /// To be called when the connection stands and is subscribed.
        package func established(_ event: Event) {
            onEstablished()
            deliver(event)
        }

        package func deliver(_ event: Event) { subscription.deliver(event) }

        /// - Returns: false when the time ran out; true also after `stop`.
        package func wait(for socket: Int32, seconds: Double) -> Bool {
            SocketWait.wait(for: socket, waker: subscription.waker, until: Deadline(in: seconds)) != .timedOut
        }

        package var waker: Waker { subscription.waker }
    }

    /// Ends after `stop`, and when its reader is cancelled.
    package let events: AsyncStream<Event>
    private let name: String
    private let logger: Logger
    private let mailbox: Mailbox<Event>
    private let waker = Waker()
    private let isStopped = Atomic<Bool>(false)

    /// - Parameters:
    ///   - name: of the thread, and in the log.
    ///   - gap: the event that says how many were lost because nobody read them in time.
    ///   - interrupted: the event that says that the connection is lost or could not be made; nil for none.
    ///   - hold: connects and reads; returns after `stop`, throws when the connection is lost.
    package init(
        name: String, capacity: Int, logger: Logger, gap: @escaping @Sendable (_ lost: Int) -> Event,
        interrupted: @escaping @Sendable (any Error) -> Event?, hold: @escaping @Sendable (Session) throws -> Void
    ) {
        let mailbox = Mailbox(capacity: capacity, gap: gap)
        self.name = name
        self.logger = logger
        self.mailbox = mailbox
        events = AsyncStream(unfolding: { await mailbox.next() })
        let thread = Thread { [self] in
            run(interrupted, hold)
            mailbox.close()
        }
        thread.name = name
        thread.start()
    }

    package func stop() {
        isStopped.store(true, ordering: .relaxed)
        waker.wake()
    }

    private func run(_ interrupted: (any Error) -> Event?, _ hold: (Session) throws -> Void) {
        var backoff = Backoff()
        var failures = 0
        while !isStopped.load(ordering: .relaxed) {
            do {
                try hold(
                    Session(subscription: self) { [self] in
                        if failures > 0 { logger.notice("\(name) goes on after \(failures) failed tries") }
                        failures = 0
                        backoff.reset()
                    })
            } catch {
                if isStopped.load(ordering: .relaxed) { return }
                failures += 1
                // Once, not at every try of a long outage.
                logger.log(level: failures == 1 ? .warning : .debug, "\(name) is interrupted: \(error)")
                interrupted(error).map(deliver)
                waker.wait(until: Deadline(in: backoff.next()))
            }
        }
    }

    private func deliver(_ event: Event) {
        let lost = mailbox.put(event)
        if lost > 0 { logger.warning("\(name): \(lost) events were not read in time and are given up") }
    }
}
