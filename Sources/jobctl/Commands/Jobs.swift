// status, wait, list, watch, cancel, retry: jobs that are there already.
import ArgumentParser
import Foundation
import JSON
import JobModel
import JobStorage
import RedisClient

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show a job.")
    @Argument var id: JobID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let job = try await common.withStore { try await $0.job(id) }
        let lines: [(String, String?)] = [
            ("job", "\(job.id)"), ("kind", job.kind.rawValue), ("model", job.model.isEmpty ? nil : job.model),
            ("queue", job.queue), ("state", job.state.rawValue),
            ("attempt", "\(job.attempt) of \(job.maximumAttempts)"),
            ("created", job.createdAt), ("started", job.startedAt), ("finished", job.finishedAt),
            ("error", job.error?.text()), ("usage", job.usage?.text()), ("answer", job.result?["text"]?.stringValue),
        ]
        common.show(
            job.json,
            text: lines.compactMap { name, value in
                value.map { name.padding(toLength: 10, withPad: " ", startingAt: 0) + $0 }
            }.joined(separator: "\n"))
    }
}

struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait for jobs and print their answers.", discussion: "Exit code 2 when a job did not succeed.")
    @Argument var ids: [JobID]
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.withStore { try await WaitReport(store: $0, common: common).run(ids) }
    }
}

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List jobs, newest first.")
    @Option(help: "Only jobs in this state.")
    var state: JobState?
    @Option var kind: String?
    @Option var queue: String?
    @Option(help: "Only jobs with a smaller id: the next page.")
    var before: JobID?
    @Option var limit = 20
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let jobs = try await common.withStore {
            try await $0.list(state: state, kind: kind, queue: queue, before: before, limit: min(max(limit, 1), 10_000))
        }
        var table = TextTable(header: ["ID", "KIND", "STATE", "ATTEMPT", "CREATED", "ANSWER"])
        for job in jobs {
            let answer = job.state.isFinal ? String(job.answer.replacing("\n", with: " ").prefix(60)) : ""
            table.rows.append(
                [
                    "\(job.id)", job.kind.rawValue, job.state.rawValue, "\(job.attempt)",
                    String(job.createdAt.prefix(19)), answer,
                ])
        }
        common.show(.array(jobs.map(\.json)), text: table.text)
    }
}

extension JobState: ExpressibleByArgument {}

struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print completions as Redis publishes them, until Ctrl-C.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let subscriber = RedisSubscriber(try common.redisConfiguration(), channels: [JobEvent.channel])
        for await event in subscriber.events {
            guard case .message(_, let payload) = event, let value = try? JSONValue(parsing: payload) else { continue }
            let text = value["result"]?["text"]?.stringValue?.replacing("\n", with: " ").prefix(80) ?? ""
            common.show(value, text: "\(value["id"]?.intValue ?? 0)  \(value["state"]?.stringValue ?? "")  \(text)")
        }
    }
}

struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Cancel jobs; a running one stops within a step.")
    @Argument var ids: [JobID]
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.withStore { store in
            for id in ids {
                let state = try await store.cancel(id)
                let note = state == .running ? "running, its worker is told to stop" : state.rawValue
                common.show(["id": .integer(id), "state": .string(state.rawValue)], text: "\(id)  \(note)")
            }
        }
    }
}

struct Retry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Put failed, cancelled or expired jobs in line again.")
    @Argument var ids: [JobID]
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.withStore { store in
            for id in ids {
                let state = try await store.retry(id)
                common.show(["id": .integer(id), "state": .string(state.rawValue)], text: "\(id)  \(state.rawValue)")
            }
        }
    }
}
