// Writes outcomes: many jobs per transaction, again and again until the database takes them. A job counts as running until
// its outcome is stored, so nothing is lost between the engine and the row.
import JobModel
import JobStorage
import Logging

package actor Completer {
    private let store: any JobStore
    private let logger: Logger
    private var pending: [(Completion, CheckedContinuation<JobState?, Never>)] = []
    private var isFlushing = false
    /// At most this many jobs in one transaction.
    private static let batch = 500

    package init(store: any JobStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Outcomes that are not under way to the store yet.
    var waiting: Int { pending.count }

    /// Returns when the outcome is stored: the job's state afterwards, or nil when the attempt was stale.
    package func complete(_ completion: Completion) async -> JobState? {
        await withCheckedContinuation { continuation in
            pending.append((completion, continuation))
            if !isFlushing {
                isFlushing = true
                Task { await flush() }
            }
        }
    }

    /// While one transaction is under way, the next batch gathers by itself.
    private func flush() async {
        while !pending.isEmpty {
            let batch = Array(pending.prefix(Self.batch))
            pending.removeFirst(batch.count)
            do throws(StoreError) {
                let states = try await persist(batch.map(\.0))
                for (completion, continuation) in batch { continuation.resume(returning: states[completion.lease.id]) }
            } catch {
                // One outcome that the database refuses must not hold up its neighbours.
                for (completion, continuation) in batch {
                    continuation.resume(returning: await completeAlone(completion))
                }
            }
        }
        isFlushing = false
    }

    private func completeAlone(_ completion: Completion) async -> JobState? {
        do throws(StoreError) {
            return try await persist([completion])[completion.lease.id]
        } catch {
            logger.error("the outcome of job \(completion.lease.id) was refused: \(error)")
            let failure = JobFailure(code: "result_refused", message: "the result could not be stored: \(error)")
            let replacement = Completion(lease: completion.lease, outcome: .failed(failure))
            return (try? await persist([replacement]))?[completion.lease.id]
        }
    }

    /// Waits for the database as long as it is away; throws only what waiting does not mend.
    private func persist(_ completions: [Completion]) async throws(StoreError) -> [JobID: JobState] {
        var backoff = 0.1
        while true {
            do throws(StoreError) {
                return try await store.complete(completions)
            } catch {
                guard case .unavailable = error else { throw error }
                logger.warning("outcomes of \(completions.count) jobs wait for the database: \(error)")
                try? await Task.sleep(for: .seconds(backoff))
                backoff = min(backoff * 2, 5)
            }
        }
    }
}
