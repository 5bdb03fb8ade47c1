// What a subscriber outside of Millrace hears: a real `redis-cli psubscribe 'millrace:*'` and what it prints.
import Foundation
import Glibc
import JSON
import JobModel
import Synchronization
import TestSupport

/// Everything that was heard, also across several runs of redis-cli: it ends with the server that it listens to.
final class EventLog: Sendable {
    struct Message: Equatable {
        let channel: String
        let payload: String
    }

    private let folder = NSTemporaryDirectory() + "millrace-events-\(UUID().uuidString.prefix(8))"
    private let listeners = Mutex<[(process: TestProcess, output: String)]>([])

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// Returns when the subscription stands.
    func listen(socket: String) async throws {
        let output = folder + "/\(listeners.withLock { $0.count })"
        let process = try TestProcess("/usr/bin/redis-cli", ["-s", socket, "psubscribe", "millrace:*"], log: output)
        listeners.withLock { $0.append((process, output)) }
        try await eventually(within: 20, "redis-cli is subscribed") {
            Self.lines(output).starts(with: ["psubscribe", "millrace:*", "1"])
        }
    }

    func remove() async {
        for listener in listeners.withLock({ $0 }) { await listener.process.kill() }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// In the order in which redis-cli printed them.
    var messages: [Message] {
        listeners.withLock { $0 }.flatMap { listener -> [Message] in
            let lines = Self.lines(listener.output)
            // Four lines each: the word, the pattern, the channel, the payload, which holds no line break.
            return lines.indices.filter { lines[$0] == "pmessage" && $0 + 3 < lines.count }
                .map { Message(channel: lines[$0 + 2], payload: lines[$0 + 3]) }
        }
    }

    /// The last line only when it is whole.
    private static func lines(_ path: String) -> [String] {
        let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// What was published on `millrace:events`.
    var events: [JSONValue] {
        messages.filter { $0.channel == JobEvent.channel }.compactMap { try? JSONValue(parsing: $0.payload) }
    }

    /// Events about these jobs, by id.
    func events(about ids: ClosedRange<JobID>) -> [JSONValue] {
        events.filter { $0["id"]?.intValue.map { ids.contains(JobID($0)) } ?? false }
            .sorted { $0["id"]?.intValue ?? 0 < $1["id"]?.intValue ?? 0 }
    }

    /// Attempts of the events about these jobs, by id of the job.
    func attempts(_ ids: ClosedRange<JobID>) -> [Int] { events(about: ids).map { $0["attempt"]?.intValue ?? 0 } }

    /// Jobs of which an event was heard.
    var ids: Set<Int> { Set(events.compactMap { $0["id"]?.intValue }) }
}
