// SUBSCRIBE and PSUBSCRIBE on a connection of their own.
import Foundation
import Glibc
import Synchronization

/// Subscribes, and subscribes again when the connection is lost. Redis keeps nothing for those who are away, so
/// `.subscribed` tells the reader to look up what it may have missed.
package final class RedisSubscriber: Sendable {
    package enum Event: Sendable, Hashable {
        case subscribed
        case message(channel: String, payload: String)
    }

    package let events: AsyncStream<Event>
    private let isStopped = Atomic<Bool>(false)
    private let wakePipe: (read: Int32, write: Int32)

    package init(_ configuration: RedisConfiguration, channels: [String] = [], patterns: [String] = []) {
        precondition(!channels.isEmpty || !patterns.isEmpty, "nothing to subscribe to")
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "no descriptor for a pipe")
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        wakePipe = (ends[0], ends[1])
        let (events, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(65536))
        self.events = events
        let thread = Thread { [self] in
            run(configuration, channels, patterns, continuation)
            continuation.finish()
        }
        thread.name = "redis-sub"
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
        _ configuration: RedisConfiguration, _ channels: [String], _ patterns: [String],
        _ continuation: AsyncStream<Event>.Continuation
    ) {
        while !isStopped.load(ordering: .relaxed) {
            do throws(RedisError) {
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
                    if case .error(let message) = reply { throw .server(message) }
                    if let event = Self.event(reply) { early.append(event) } else { expected -= 1 }
                }
                continuation.yield(.subscribed)
                // What came in one piece with the confirmations does not make the socket readable again.
                early += try handle.takeBuffered().compactMap(Self.event)
                for event in early { continuation.yield(event) }
                while !isStopped.load(ordering: .relaxed) {
                    guard wait(handle.socket, milliseconds: -1) else { continue }
                    if isStopped.load(ordering: .relaxed) { return }
                    for reply in try handle.readArrived() {
                        if let event = Self.event(reply) { continuation.yield(event) }
                    }
                }
            } catch {
                wait(-1, milliseconds: 500)
            }
        }
    }

    private static func event(_ reply: RedisReply) -> Event? {
        guard case .array(let parts) = reply, let kind = parts.first?.text else { return nil }
        let texts = parts.compactMap(\.text)
        return switch kind {
        case "message" where texts.count == 3: .message(channel: texts[1], payload: texts[2])
        case "pmessage" where texts.count == 4: .message(channel: texts[2], payload: texts[3])
        default: nil
        }
    }

    @discardableResult
    private func wait(_ socket: Int32, milliseconds: Int32) -> Bool {
        var descriptors = [
            pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakePipe.read, events: Int16(POLLIN), revents: 0),
        ]
        return poll(&descriptors, 2, milliseconds) != 0
    }
}
