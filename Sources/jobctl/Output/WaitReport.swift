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
