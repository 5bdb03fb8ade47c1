// status, wait, list, watch, cancel, retry: jobs that are there already.
import ArgumentParser
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import RedisClient

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show a job, with the attempts that brought no result.")
    @Argument(help: "The job's id.")
    var id: JobID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let (job, attempts) = try await common.withStore { (try await $0.job(id), try await $0.attempts(of: id)) }
        let lines: [(name: String, value: String?)] = [
            ("job", "\(job.id)"), ("kind", job.kind.rawValue), ("model", job.model.isEmpty ? nil : job.model),
            ("queue", job.queue), ("state", job.state.rawValue),
            ("attempt", "\(job.attempt)"),
            ("failures", job.failures > 0 ? "\(job.failures), the job fails with number \(job.maximumAttempts)" : nil),
            ("deaths", job.workerDeaths > 0 ? "\(job.workerDeaths) of \(job.maximumWorkerDeaths) workers" : nil),
            ("created", job.createdAt), ("started", job.startedAt), ("finished", job.finishedAt),
            ("error", job.failure), ("usage", job.work), ("answer", job.result?["text"]?.stringValue),
        ]
        var text = TextTable.pairs(lines.compactMap { line in line.value.map { (line.name, $0) } })
        if !attempts.isEmpty {
            var table = TextTable(header: ["ATTEMPT", "ENDED", "AFTER", "OUTCOME", "ERROR"])
            table.rows = attempts.map(\.cells)
            text += "\n\n" + table.text(orElse: "")
        }
        common.show(job.json(with: attempts), text: text)
    }
}

struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait for jobs and print their answers.",
        discussion: "Exit code 2 when a job did not succeed, 75 when the time is over.")
    @Argument(help: "Ids of jobs.")
    var ids: [JobID]
    @Option(help: "Seconds to wait at most (default: as long as it takes).")
    var timeout: Double?
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.withStore { try await WaitReport(store: $0, common: common, timeout: timeout).run(ids) }
    }
}

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List jobs, newest first.")
    @Option(help: "Only jobs in this state.")
    var state: JobState?
    @Option(help: "Only jobs of this kind.")
    var kind: String?
    @Option(help: "Only jobs in this queue.")
    var queue: String?
    @Option(help: "Only jobs with a smaller id: the next page.")
    var before: JobID?
    @Option(help: "Jobs at most, 1 to 10000.")
    var limit = 20
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit must be 1 to 10000") }
    }

    func run() async throws {
        let jobs = try await common.withStore {
            try await $0.list(state: state, kind: kind, queue: queue, before: before, limit: limit)
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
        common.show(.array(jobs.map(\.json)), text: table.text(orElse: "No jobs."))
    }
}

extension JobState: ExpressibleByArgument {}

struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print completions as Redis publishes them, until Ctrl-C.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let subscriber = RedisSubscriber(try common.redisConfiguration(), channels: [JobEvent.channel])
        var isDown = false
        for await event in subscriber.events {
            switch event {
            case .message(_, let payload):
                guard let value = try? JSONValue(parsing: payload) else { continue }
                let text = value["result"]?["text"]?.stringValue?.replacing("\n", with: " ").prefix(80) ?? ""
                common.show(value, text: "\(value["id"]?.intValue ?? 0)  \(value["state"]?.stringValue ?? "")  \(text)")
                fflush(nil)
            case .subscribed:
                if isDown { common.say("Redis is back; what ended meanwhile is in 'jobctl list'") }
                isDown = false
            case .interrupted(.authentication(let reason)): throw RedisError.authentication(reason)
            case .interrupted(let error):
                if !isDown { common.say("\(error); trying again") }
                isDown = true
            case .missed(let count): common.say("\(count) completions came too fast to be shown")
            }
        }
    }
}

struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Cancel jobs; a running one stops within a step.")
    @Argument(help: "Ids of jobs.")
    var ids: [JobID]
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.change(ids) { store, id throws(StoreError) in
            let state = try await store.cancel(id)
            return (state, state == .running ? "running, its worker is told to stop" : state.rawValue)
        }
    }
}

struct Retry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Put failed, cancelled or expired jobs in line again.")
    @Argument(help: "Ids of jobs.")
    var ids: [JobID]
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.change(ids) { store, id throws(StoreError) in
            let state = try await store.retry(id)
            return (state, state.rawValue)
        }
    }
}

extension CommonOptions {
    /// Does something to each of the jobs; one that refuses does not keep the others from it.
    /// - Throws: `ExitCode.failure` at the end when one refused.
    fileprivate func change(
        _ ids: [JobID], _ body: (PostgresJobStore, JobID) async throws(StoreError) -> (state: JobState, note: String)
    ) async throws {
        try await withStore { store in
            var refused = false
            for id in ids {
                do throws(StoreError) {
                    let (state, note) = try await body(store, id)
                    show(["id": .integer(id), "state": .string(state.rawValue)], text: "\(id)  \(note)")
                } catch {
                    guard !error.isAboutTheStore else { throw error }
                    FileHandle.standardError.write(Data("Error: \(error)\n".utf8))
                    refused = true
                }
            }
            if refused { throw ExitCode.failure }
        }
    }
}

extension StoreError {
    /// The next job would meet the same.
    fileprivate var isAboutTheStore: Bool {
        switch self {
        case .unavailable, .broken: true
        case .refused, .noSuchJob, .wrongState, .workerLost: false
        }
    }
}
