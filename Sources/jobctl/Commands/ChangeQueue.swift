// pause, resume, queue: whether jobs of a queue are claimed, and in which order.
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

struct ChangeQueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Change how a queue orders its jobs.",
        discussion: """
            Of two jobs the one with the lower priority goes first, unless it came later by more than --priority-step for \
            each step between them. So nothing waits for ever. 0 is first come, first served; 8640000 (100 days) is \
            priority alone. Jobs in line keep their places.

            Workers prefer jobs whose model is in their memory and whose beginning they have computed already. For that a job \
            may be overtaken by those that came up to --affinity-window after it, and by no others. 0 turns it off.
            """)
    @Argument(help: "A queue that 'jobctl queues' lists.")
    var queue: String
    @Option(help: "Seconds of waiting that a step of priority is worth, 0 to 8640000 (default of a queue: 600).")
    var priorityStep: Double?
    @Option(
        help: "Seconds by which jobs that suit a worker better may overtake, 0 to 8640000 (default of a queue: 120).")
    var affinityWindow: Double?
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard priorityStep != nil || affinityWindow != nil else {
            throw ValidationError("give --priority-step or --affinity-window")
        }
    }

    func run() async throws {
        let before = try await common.change(queue) { store in
            if let priorityStep { try await store.setPriorityStep(priorityStep, queue: queue) }
            if let affinityWindow { try await store.setAffinityWindow(affinityWindow, queue: queue) }
        }
        let (step, window) = (priorityStep ?? before.priorityStep, affinityWindow ?? before.affinityWindow)
        common.show(
            [
                "queue": .string(queue), "priority_step_seconds": .number(step),
                "affinity_window_seconds": .number(window),
            ],
            text: "\(queue): a step of priority is worth \(step.formatted()) s, affinity \(window.formatted()) s")
    }
}

extension CommonOptions {
    /// A name that has had no job is taken for a mistake.
    @discardableResult
    fileprivate func change(
        _ queue: String, _ body: (PostgresJobStore) async throws -> Void
    ) async throws -> QueueSummary {
        try await withStore { store in
            guard let found = try await store.queues().first(where: { $0.queue == queue }) else {
                throw CommandError("queue: \"\(queue)\" has had no job ('jobctl queues' lists those that have)")
            }
            try await body(store)
            return found
        }
    }

    /// Idempotent.
    fileprivate func setPaused(_ isPaused: Bool, _ queue: String) async throws {
        let found = try await change(queue) { store in try await store.setPaused(isPaused, queue: queue) }
        show(
            ["queue": .string(queue), "paused": .bool(isPaused)],
            text: "\(queue) is \(isPaused ? "paused" : "open"): \(found.ready) ready, \(found.running) running")
    }
}
