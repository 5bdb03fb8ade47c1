// Relays the outbox to Redis. Delivery is at-least-once: an event is deleted only after Redis took it, so Redis may be
// away for as long as it likes, and a crash in between sends an event twice, with the same sequence number.
import JSON
import JobModel
import JobStorage
import Logging
import RedisClient

package actor Publisher {
    /// Sends commands in one go and gives a reply for each; throws when it is not known what became of them.
    package typealias Send = @Sendable ([[String]]) async throws -> [RedisReply]

    private let store: any JobStore
    private let send: Send
    private let logger: Logger
    /// Seconds that a result stays in Redis for those who subscribed too late.
    private let resultLifetime: Int
    private static let batch = 200

    package init(store: any JobStore, redis: RedisConnection, resultLifetime: Int = 3600, logger: Logger) {
        self.init(store: store, resultLifetime: resultLifetime, logger: logger) { try await redis.send($0) }
    }

    package init(store: any JobStore, resultLifetime: Int = 3600, logger: Logger, send: @escaping Send) {
        self.store = store
        self.send = send
        self.resultLifetime = resultLifetime
        self.logger = logger
    }

    /// Relays until the task is cancelled: at once when `wake` yields, and at least every `interval` seconds.
    package func run(wake: AsyncStream<Void>, interval: Double = 1) async {
        var failures = 0
        let ticks = Ticks(wake: wake, interval: interval)
        for await _ in ticks.stream {
            if Task.isCancelled { break }
            do {
                while try await relay() == Self.batch, !Task.isCancelled {}
                if failures > 0 { logger.notice("publishing goes on after \(failures) failed tries") }
                failures = 0
            } catch {
                failures += 1
                // Once, not at every try of an hour-long outage.
                if failures == 1 { logger.warning("publishing is interrupted, events stay in the outbox: \(error)") }
            }
        }
    }

    /// Relays one batch.
    /// - Returns: how many events Redis took.
    @discardableResult
    package func relay() async throws -> Int {
        try await store.relayEvents(maximum: Self.batch) { [send, resultLifetime] events in
            let replies = try await send(events.flatMap { Self.commands($0, resultLifetime) })
            for case .error(let message) in replies { throw RedisError.server(message) }
        }
    }

    /// The result key first: who hears the event finds the result.
    private static func commands(_ event: JobEvent, _ lifetime: Int) -> [[String]] {
        let payload = event.payload.text()
        return [
            ["SET", JobEvent.resultKey(of: event.id), payload, "EX", String(lifetime)],
            ["PUBLISH", JobEvent.channel(of: event.id), payload],
            ["PUBLISH", JobEvent.channel, payload],
        ]
    }
}
