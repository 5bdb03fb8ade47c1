// SUBSCRIBE and PSUBSCRIBE on a connection of their own.
import Logging
import ServerLinks

/// Subscribes, and subscribes again when the connection is lost. Redis keeps nothing for those who are away, so
/// `.subscribed` and `.missed` tell the reader to look up what it may have missed.
package final class RedisSubscriber: Sendable {
    package enum Event: Sendable, Equatable {
        case subscribed
        case message(channel: String, payload: [UInt8])
        /// That many events were given up, because nobody read them in time.
        case missed(Int)
        /// The connection is lost or could not be made; it is tried again until `stop`.
        case interrupted(RedisError)
    }

    private let subscription: Subscription<Event>
    package var events: AsyncStream<Event> { subscription.events }

    /// - Parameter capacity: events that wait for the reader at most.
    package init(
        _ configuration: RedisConfiguration, channels: [String] = [], patterns: [String] = [],
        capacity: Int = 65_536, logger: Logger? = nil
    ) {
        precondition(!channels.isEmpty || !patterns.isEmpty, "nothing to subscribe to")
        subscription = Subscription(
            name: "subscribing at Redis", capacity: capacity,
            logger: logger ?? Logger(label: "redis", factory: { _ in SwiftLogNoOpLogHandler() }),
            gap: { .missed($0) },
            interrupted: { error in (error as? RedisError).map { .interrupted($0) } },
            hold: { session in try Self.listen(session, configuration, channels, patterns) })
    }

    package func stop() { subscription.stop() }

    /// Seconds without a word after which the server is asked; the answer has the configuration's time.
    private static let silence = 15.0

    private static func listen(
        _ session: Subscription<Event>.Session, _ configuration: RedisConfiguration, _ channels: [String],
        _ patterns: [String]
    ) throws(RedisError) {
        let handle = try RedisHandle(configuration)
        var expected = 0
        for (command, names) in [("SUBSCRIBE", channels), ("PSUBSCRIBE", patterns)] where !names.isEmpty {
            try handle.append([command] + names)
            expected += names.count
        }
        // Messages of the first channels can arrive between the confirmations.
        var early: [Event] = []
        while expected > 0 {
            let reply = try handle.read()
            if case .error(let message) = reply { throw RedisError(server: message) }
            if let event = event(reply) { early.append(event) } else { expected -= 1 }
        }
        session.established(.subscribed)
        // What came in one piece with the confirmations does not make the socket readable again.
        early += try handle.takeBuffered().compactMap(event)
        for event in early { session.deliver(event) }
        var isAsked = false
        while !session.isStopped {
            if session.wait(for: handle.socket, seconds: isAsked ? configuration.timeout : silence) {
                guard !session.isStopped else { return }
                for reply in try handle.readArrived() { event(reply).map(session.deliver) }
                isAsked = false
            } else {
                guard !isAsked else { throw .connection("no answer within \(configuration.timeout) s") }
                try handle.append(["PING"])
                try handle.flush()
                isAsked = true
            }
        }
    }

    /// nil for what is no message.
    private static func event(_ reply: RedisReply) -> Event? {
        guard case .array(let parts) = reply, case .bytes(let payload)? = parts.last else { return nil }
        return switch (parts.first?.text, parts.count) {
        case ("message", 3): .message(channel: parts[1].text ?? "", payload: payload)
        case ("pmessage", 4): .message(channel: parts[2].text ?? "", payload: payload)
        default: nil
        }
    }
}
