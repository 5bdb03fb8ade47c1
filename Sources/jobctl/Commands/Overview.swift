// workers, queues: how the fleet stands.
import ArgumentParser
import Foundation
import JSON
import JobStorage

struct Workers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List workers.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let workers = try await common.withStore { try await $0.workers() }
        var table = TextTable(header: ["ID", "NAME", "HOST", "PID", "STATE", "RUNNING", "SILENT"])
        for worker in workers {
            table.rows.append([
                worker.id.uuidString.lowercased(), worker.name, worker.host, "\(worker.processID)", worker.state,
                "\(worker.running)", String(format: "%.1f s", worker.silence),
            ])
        }
        let values: [JSONValue] = workers.map { worker in
            [
                "id": .string(worker.id.uuidString.lowercased()), "name": .string(worker.name),
                "host": .string(worker.host), "pid": .integer(Int64(worker.processID)), "state": .string(worker.state),
                "running": .integer(Int64(worker.running)), "started_at": .string(worker.startedAt),
                "silent_seconds": .number(worker.silence),
            ]
        }
        common.show(.array(values), text: table.text(orElse: "No workers."))
    }
}

struct Queues: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List queues with what waits, runs and failed in them.",
        discussion: """
            STEP is the wait that a step of priority is worth, AFFINITY the time by which jobs may be overtaken by later ones that \
            suit a worker better ('jobctl queue').
            """)
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let queues = try await common.withStore { try await $0.queues() }
        var table = TextTable(header: [
            "QUEUE", "READY", "SCHEDULED", "RUNNING", "FAILED", "OLDEST", "STEP", "AFFINITY",
        ])
        for queue in queues {
            table.rows.append([
                queue.queue + (queue.isPaused ? " (paused)" : ""), "\(queue.ready)", "\(queue.scheduled)",
                "\(queue.running)", "\(queue.dead)", queue.oldest.map { String(format: "%.1f s", $0) } ?? "-",
                String(format: "%g s", queue.priorityStep), String(format: "%g s", queue.affinityWindow),
            ])
        }
        let values: [JSONValue] = queues.map { queue in
            [
                "queue": .string(queue.queue), "paused": .bool(queue.isPaused), "ready": .integer(Int64(queue.ready)),
                "scheduled": .integer(Int64(queue.scheduled)), "running": .integer(Int64(queue.running)),
                "failed": .integer(Int64(queue.dead)), "priority_step_seconds": .number(queue.priorityStep),
                "affinity_window_seconds": .number(queue.affinityWindow),
                "oldest_seconds": queue.oldest.map { .number($0) } ?? .null,
            ]
        }
        common.show(.array(values), text: table.text(orElse: "No queues: none has had a job yet."))
    }
}
