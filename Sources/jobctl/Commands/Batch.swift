// batch: files in OpenAI's batch format in, files in its format out.
import ArgumentParser
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage

struct Batch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run files in OpenAI's batch format.",
        discussion: """
            Each line is {"custom_id", "method": "POST", "url", "body"}, with the url /v1/chat/completions, \
            /v1/completions or /v1/embeddings. Output and error files have a line for each, as the jobs end.
            """,
        subcommands: [
            BatchSubmit.self, BatchFetch.self, BatchStatus.self, BatchCancel.self, BatchList.self,
        ])
}

/// Where answers go, and for how long they are waited for.
struct BatchOutputOptions: ParsableArguments {
    @Option(name: .customLong("out"), help: "File for the answers; what it holds is replaced.")
    var output: String?
    @Option(help: "File for what failed, was cancelled or expired; what it holds is replaced.")
    var errors: String?
    @Option(help: "Seconds to wait at most (default: as long as it takes).")
    var timeout: Double?
}

struct BatchSubmit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Queue a file.",
        discussion: """
            Every line is looked at first; when one is bad, nothing is queued, unless --skip-bad-lines. With --out the \
            answers are waited for and written as they come; a wait that was broken off goes on with 'batch fetch'.
            """)
    @Argument(help: "The file.")
    var file: String
    @Option(help: "Model, instead of those that the lines name.")
    var model: String?
    @Option(help: "Queue to put the jobs in.")
    var queue: String?
    @Option(parsing: .unconditional, help: "-100 to 100, lower is sooner.")
    var priority: Int?
    @Option(help: "Name of the batch (default: the file's).")
    var name: String?
    @Flag(help: "Queue the good lines; bad ones get a line in the error file.")
    var skipBadLines = false
    @OptionGroup var files: BatchOutputOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let priority, !(-100...100).contains(priority) { throw ValidationError("--priority must be -100 to 100") }
        if files.errors != nil, files.output == nil { throw ValidationError("--errors goes with --out") }
    }

    func run() async throws {
        let input = BatchInput(path: file, model: model, queue: queue, priority: priority)
        let (good, faults) = try input.check()
        if !faults.isEmpty, !skipBadLines {
            for fault in faults.prefix(100) { common.show(fault.json, text: "\(file), \(fault.text)") }
            // Before the error, also where both go into one file.
            fflush(nil)
            let more = faults.count > 100 ? " (the first 100 are shown)" : ""
            throw CommandError(
                "\(file): \(faults.count) of \(good + faults.count) lines are bad\(more); nothing was queued")
        }
        guard good > 0 else { throw CommandError("\(file): holds no line that could be queued") }
        for path in [files.output, files.errors].compactMap(\.self) where BatchOutput.isSameFile(path, file) {
            throw CommandError("\(path): is the input; it would be emptied")
        }
        // Before anything is queued: a file that can't be written must not cost a run.
        let output = try BatchOutput(output: files.output, errors: files.errors)
        for fault in faults {
            common.say("\(file), \(fault.text): skipped")
            try output.write(fault)
        }
        try await common.withStore(patience: 3600) { store in
            let name = name ?? String((file.split(separator: "/").last ?? "").prefix(200))
            let id = try await store.submitBatch(
                name: name, try input.jobs(except: Set(faults.map(\.line)), count: good))
            common.show(
                ["batch": .integer(id), "jobs": .integer(Int64(good)), "skipped": .integer(Int64(faults.count))],
                text: "batch \(id): \(good) jobs" + (faults.isEmpty ? "" : ", \(faults.count) lines skipped"))
            fflush(nil)
            guard files.output != nil else { return }
            try await BatchWait(store: store, common: common, timeout: files.timeout).run(id, output)
        }
    }
}

struct BatchFetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Write a batch's answers; what has not ended yet is waited for.")
    @Argument(help: "Number of the batch.")
    var batch: BatchID
    @Flag(help: "Write what has ended, and wait for nothing.")
    var partial = false
    @OptionGroup var files: BatchOutputOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard files.output != nil else { throw ValidationError("--out is needed") }
    }

    func run() async throws {
        try await common.withStore { store in
            _ = try await store.summary(of: batch)
            let output = try BatchOutput(output: files.output, errors: files.errors)
            try await BatchWait(store: store, common: common, timeout: partial ? 0 : files.timeout)
                .run(batch, output, isPartial: partial)
        }
    }
}

struct BatchStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show how far a batch is.")
    @Argument(help: "Number of the batch.")
    var batch: BatchID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let summary = try await common.withStore { try await $0.summary(of: batch) }
        common.show(summary.json, text: summary.text)
    }
}

struct BatchCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancel what has not ended; what has stays.")
    @Argument(help: "Number of the batch.")
    var batch: BatchID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let (count, summary) = try await common.withStore { store in
            _ = try await store.summary(of: batch)
            return (try await store.cancelBatch(batch), try await store.summary(of: batch))
        }
        common.show(summary.json, text: "\(count) jobs cancelled or told to stop\n\(summary.text)")
    }
}

struct BatchList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List batches, newest first.")
    @Option(help: "Batches at most, 1 to 1000.")
    var limit = 20
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit must be 1 to 1000") }
    }

    func run() async throws {
        let batches = try await common.withStore { try await $0.batches(limit: limit) }
        var table = TextTable(header: ["BATCH", "NAME", "CREATED", "ENDED", "JOBS", "SUCCEEDED"])
        for batch in batches {
            table.rows.append([
                "\(batch.id)", batch.name, String(batch.createdAt.prefix(19)), "\(batch.ended)", "\(batch.total)",
                "\(batch.counts[.succeeded] ?? 0)",
            ])
        }
        common.show(.array(batches.map(\.json)), text: table.text(orElse: "No batches."))
    }
}

extension PostgresJobStore {
    fileprivate func summary(of id: BatchID) async throws -> BatchSummary {
        guard let summary = try await batch(id) else { throw CommandError("batch: there is no batch \(id)") }
        return summary
    }
}

extension BatchSummary {
    fileprivate var json: JSONValue {
        var states: [(String, JSONValue)] = []
        for state in JobState.allCases {
            if let count = counts[state] { states.append((state.rawValue, .integer(Int64(count)))) }
        }
        return [
            "batch": .integer(id), "name": .string(name), "created_at": .string(createdAt),
            "ended_at": endedAt.map { .string($0) } ?? .null, "total": .integer(Int64(total)),
            "states": .object(.init(states, uniquingKeysWith: { $1 })),
        ]
    }

    fileprivate var text: String {
        let states = JobState.allCases.compactMap { state in counts[state].map { "\($0) \(state.rawValue)" } }
        return "batch \(id)\(name.isEmpty ? "" : " (\(name))"): \(ended) of \(total) jobs have ended: "
            + states.joined(separator: ", ")
    }
}
