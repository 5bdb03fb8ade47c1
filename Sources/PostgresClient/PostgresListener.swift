// LISTEN on a connection of its own. A process has one listener: before PostgreSQL 19 every notification wakes every
// listening connection of the database.
import CPostgres
import Foundation
import Glibc
import Logging
import Synchronization

package struct PostgresNotification: Sendable, Hashable {
    package let channel: String
    package let payload: String
}

/// Listens on channels, reconnects when the connection is lost, and says when it did, since notifications may have been
/// missed in between.
package final class PostgresListener: Sendable {
    package enum Event: Sendable, Hashable {
        /// Listening since now: whatever happened before has to be looked up.
        case connected
        case notification(PostgresNotification)
    }

    /// The events; the oldest are dropped when nobody reads them, which is why readers also poll.
    package let events: AsyncStream<Event>
    private let isStopped = Atomic<Bool>(false)
    /// A byte in this pipe ends the wait of the thread.
    private let wakePipe: (read: Int32, write: Int32)

    package init(_ configuration: PostgresConfiguration, channels: [String], logger: Logger) {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "no descriptor for a pipe")
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        wakePipe = (ends[0], ends[1])
        let (events, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(1024))
        self.events = events
        let thread = Thread { [self] in
            run(configuration, channels, logger, continuation)
            continuation.finish()
        }
        thread.name = "pg-listen"
        thread.start()
    }

    package func stop() {
        guard !isStopped.exchange(true, ordering: .sequentiallyConsistent) else { return }
        var byte: UInt8 = 1
        _ = write(wakePipe.write, &byte, 1)
    }

    deinit {
        close(wakePipe.read)
        close(wakePipe.write)
    }

    private func run(
        _ configuration: PostgresConfiguration, _ channels: [String], _ logger: Logger,
        _ continuation: AsyncStream<Event>.Continuation
    ) {
        var backoff = Backoff()
        while !isStopped.load(ordering: .relaxed) {
            do throws(PostgresError) {
                let handle = try PostgresHandle(configuration)
                for channel in channels {
                    // A channel is an identifier, which can't be a parameter; these are Millrace's own names.
                    try handle.script(SQL(trusted: "LISTEN \"\(channel)\""))
                }
                backoff.reset()
                continuation.yield(.connected)
                try listen(handle, continuation)
            } catch {
                logger.warning("listening is interrupted: \(error)")
                wait(handleSocket: -1, milliseconds: Int32(backoff.next() * 1000))
            }
        }
    }

    private func listen(
        _ handle: PostgresHandle, _ continuation: AsyncStream<Event>.Continuation
    ) throws(PostgresError) {
        while !isStopped.load(ordering: .relaxed) {
            for notification in try handle.takeNotifications() { continuation.yield(.notification(notification)) }
            // A peer that went away without a word is noticed by the question.
            if !wait(handleSocket: handle.socket, milliseconds: 15_000) { _ = try handle.query("SELECT 1") }
        }
    }

    /// - Returns: false when the time ran out.
    @discardableResult
    private func wait(handleSocket: Int32, milliseconds: Int32) -> Bool {
        var descriptors = [
            pollfd(fd: handleSocket, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakePipe.read, events: Int16(POLLIN), revents: 0),
        ]
        return poll(&descriptors, 2, milliseconds) != 0
    }
}
