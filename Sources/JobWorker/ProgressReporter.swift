// Stores what running jobs have so far, all of them in one statement at a time, and learns from the answer which of them
// are no longer this worker's.
import JSON
import JobModel
import JobStorage
import Logging
import Synchronization

final class ProgressReporter: Sendable {
    private let store: any JobStore
    private let logger: Logger
    private let latest = Mutex<[JobID: ProgressReport]>([:])

    init(store: any JobStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    struct Sink: ProgressSink {
        let lease: Lease
        let reporter: ProgressReporter

        func report(_ progress: JSONValue) {
            let report = ProgressReport(id: lease.id, runToken: lease.runToken, progress: progress)
            reporter.latest.withLock { $0[lease.id] = report }
        }
    }

    func sink(for lease: Lease) -> Sink { Sink(lease: lease, reporter: self) }

    /// Drops what this attempt reported and is not stored yet.
    func forget(_ lease: Lease) {
        latest.withLock { latest in
            if latest[lease.id]?.runToken == lease.runToken { latest[lease.id] = nil }
        }
    }

    /// Stores what came since the last call.
    /// - Returns: jobs to stop: those that a client cancelled, and the attempts whose lease is gone.
    func flush() async -> (cancelled: [JobID], lost: [JobID: RunToken]) {
        let reports = latest.withLock { latest in
            defer { latest = [:] }
            return Array(latest.values)
        }
        guard !reports.isEmpty else { return ([], [:]) }
        do throws(StoreError) {
            let held = try await store.report(reports)
            let lost = reports.filter { held[$0.id] == nil }.map { ($0.id, $0.runToken) }
            return (reports.map(\.id).filter { held[$0] == true }, Dictionary(uniqueKeysWithValues: lost))
        } catch {
            // Only news is lost, and newer news will come.
            logger.warning("progress of \(reports.count) jobs was not stored: \(error)")
            return ([], [:])
        }
    }
}
