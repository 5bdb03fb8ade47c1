// Waiting for a batch: each job's line is written when it ends.
import ArgumentParser
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage

struct BatchWait {
    let store: PostgresJobStore
    let common: CommonOptions
    let timeout: Double?

    /// - Parameter isPartial: only what has ended already; the rest is no failure.
    /// - Throws: `ExitCode.jobNotSucceeded` at the end when a job did not succeed, `ExitCode.timedOut` when the time is over.
    func run(_ batch: BatchID, _ output: BatchOutput, isPartial: Bool = false) async throws {
        let ids = try await store.jobs(ofBatch: batch)
        var (ended, failed) = (0, 0)
        let bar = !common.json && isatty(STDERR_FILENO) == 1 ? ProgressBar(total: ids.count) : nil
        bar?.draw(0, failed: 0)
        defer { bar?.end() }
        let waiter = JobWaiter(
            store: store, redis: try common.redisConfiguration(),
            deadline: timeout.map { Date(timeIntervalSinceNow: $0) }, say: common.say)
        do {
            try await waiter.wait(for: ids) { id, state in
                try output.write(try await store.job(id))
                ended += 1
                if state != .succeeded { failed += 1 }
                bar?.draw(ended, failed: failed)
            }
        } catch let error as ExitCode where error == .timedOut {
            common.say(
                "\(ended) of \(ids.count) jobs have ended and are written; 'jobctl batch fetch \(batch)' goes on.")
            if isPartial { return }
            throw error
        }
        common.show(
            ["batch": .integer(batch), "ended": .integer(Int64(ended)), "failed": .integer(Int64(failed))],
            text: "batch \(batch): \(ended - failed) answers" + (failed > 0 ? ", \(failed) without one" : ""))
        if failed > 0 { throw ExitCode.jobNotSucceeded }
    }
}
