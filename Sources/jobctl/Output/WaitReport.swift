// Waiting with something to look at: a progress bar for many jobs, the answer for one.
import ArgumentParser
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage

struct WaitReport {
    let store: PostgresJobStore
    let common: CommonOptions
    /// Seconds to wait at most.
    let timeout: Double?

    /// Prints each job as it ends.
    /// - Throws: `ExitCode.jobNotSucceeded` at the end when one did not succeed, `ExitCode.timedOut` when the time is over.
    func run(_ ids: [JobID]) async throws {
        var ended = 0
        var failed = 0
        let bar = ids.count > 1 && !common.json && isatty(STDERR_FILENO) == 1 ? ProgressBar(total: ids.count) : nil
        bar?.draw(0, failed: 0)
        let waiter = JobWaiter(
            store: store, redis: try common.redisConfiguration(),
            deadline: timeout.map { Date(timeIntervalSinceNow: $0) },
            say: common.say)
        do {
            try await waiter.wait(for: ids) { id, state in
                let job = try await store.job(id)
                ended += 1
                if state != .succeeded { failed += 1 }
                bar?.clear()
                let text = ids.count == 1 ? job.answer : "\(id)\t\(job.answer.replacing("\n", with: "\\n"))"
                common.show(job.json, text: text)
                fflush(nil)
                bar?.draw(ended, failed: failed)
            }
        } catch {
            bar?.end()
            if error as? ExitCode == .timedOut {
                common.say("The time is over; \(ids.count - ended) of \(ids.count) jobs have not ended.")
            }
            throw error
        }
        bar?.end()
        if failed > 0 { throw ExitCode.jobNotSucceeded }
    }
}

/// Prints an answer while it grows, from what the worker stores of it.
struct AnswerStream {
    let store: PostgresJobStore
    let common: CommonOptions

    func follow(_ id: JobID) async throws {
        var shown = ""
        func show(_ text: String) {
            // Only what is new; the stored text only ever grows.
            guard text.utf8.count > shown.utf8.count, text.hasPrefix(shown) else { return }
            let piece = String(decoding: text.utf8.dropFirst(shown.utf8.count), as: UTF8.self)
            if common.json {
                print(JSONValue.object(["id": .integer(id), "delta": .string(piece)]).text())
            } else {
                print(piece, terminator: "")
            }
            fflush(nil)
            shown = text
        }
        while true {
            let job = try await store.job(id)
            if job.state.isFinal {
                if let text = job.result?["text"]?.stringValue { show(text) }
                common.show(job.json, text: job.state == .succeeded ? "" : job.answer)
                if job.state != .succeeded { throw ExitCode.jobNotSucceeded }
                return
            }
            if let text = try await store.progress(of: id)?["text"]?.stringValue { show(text) }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}
