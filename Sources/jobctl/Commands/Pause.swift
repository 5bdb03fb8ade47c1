// pause, resume: whether jobs of a queue are claimed.
import ArgumentParser
import JSON
import JobStorage

struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let the jobs of a queue wait.",
        discussion: "Those that run go on; those that come wait in line until the queue is resumed.")
    @Argument(help: "A queue that 'jobctl queues' lists.")
    var queue: String
    @OptionGroup var common: CommonOptions

    func run() async throws { try await common.setPaused(true, queue) }
}

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Let the jobs of a paused queue run again.")
    @Argument(help: "A queue that 'jobctl queues' lists.")
    var queue: String
    @OptionGroup var common: CommonOptions

    func run() async throws { try await common.setPaused(false, queue) }
}

extension CommonOptions {
    /// Idempotent. A name that has had no job is taken for a mistake.
    fileprivate func setPaused(_ isPaused: Bool, _ queue: String) async throws {
        let found = try await withStore { store in
            guard let found = try await store.queues().first(where: { $0.queue == queue }) else {
                throw CommandError("queue: \"\(queue)\" has had no job ('jobctl queues' lists those that have)")
            }
            try await store.setPaused(isPaused, queue: queue)
            return found
        }
        show(
            ["queue": .string(queue), "paused": .bool(isPaused)],
            text: "\(queue) is \(isPaused ? "paused" : "open"): \(found.ready) ready, \(found.running) running")
    }
}
