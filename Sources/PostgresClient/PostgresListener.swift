// LISTEN on a connection of its own. A process has one listener: before PostgreSQL 19 every notification wakes every
// listening connection of the database. Behind a transaction pooler it needs a direct connection.
import CPostgres
import Logging
import ServerLinks

package struct PostgresNotification: Sendable, Hashable {
    package let channel: String
    package let payload: String
}

/// Listens on channels, reconnects when the connection is lost, and says when it did, since notifications may have been
/// missed in between.
package final class PostgresListener: Sendable {
    package enum Event: Sendable, Hashable {
        /// Listening since now: whatever happened before has to be looked up. Also comes in place of notifications that
        /// nobody read in time.
        case connected
        case notification(PostgresNotification)
    }

    private let subscription: Subscription<Event>
    package var events: AsyncStream<Event> { subscription.events }

    package init(_ configuration: PostgresConfiguration, channels: [String], logger: Logger) {
        subscription = Subscription(
            name: "listening for notifications", capacity: 1024, logger: logger, gap: { _ in .connected },
            interrupted: { _ in nil },
            hold: { session in try Self.listen(session, configuration, channels, logger) })
    }

    package func stop() { subscription.stop() }

    /// Seconds without a word after which the server is asked, and seconds that it has for the answer: a peer that went
    /// away without a word is noticed by that.
    private static let silence = 15.0
    private static let patience = 5.0

    private static func listen(
        _ session: Subscription<Event>.Session, _ configuration: PostgresConfiguration, _ channels: [String],
        _ logger: Logger
    ) throws(PostgresError) {
        let handle = try PostgresHandle(configuration, logger: logger, waker: session.waker)
        for channel in channels {
            // A channel is an identifier, which can't be a parameter; these are Millrace's own names.
            _ = try handle.query(SQL(trusted: "LISTEN \"\(channel)\""), within: patience)
        }
        session.established(.connected)
        while !session.isStopped {
            for notification in try handle.takeNotifications() { session.deliver(.notification(notification)) }
            if !session.wait(for: handle.socket, seconds: silence) {
                _ = try handle.query("SELECT 1", within: patience)
            }
        }
    }
}
