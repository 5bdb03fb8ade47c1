// The queue in PostgreSQL. Each method is one statement of SQL/; what it does is written in migrations/.
import Foundation
import JSON
import JobModel
import PostgresClient

package struct PostgresJobStore: JobStore {
    package let pool: PostgresPool
    private let backoff: Backoff

    package init(pool: PostgresPool, backoff: Backoff = Backoff()) {
        self.pool = pool
        self.backoff = backoff
    }

    // MARK: Clients

    package func enqueue(_ jobs: [NewJob]) async throws(StoreError) -> [JobID] {
        guard !jobs.isEmpty else { return [] }
        return try await query(EnqueueSQL.enqueue, EnqueueSQL.binds(jobs)) { row throws(PostgresError) in
            try row.get("id")
        }
    }

    package func job(_ id: JobID) async throws(StoreError) -> Job {
        guard let job = try await query(JobSQL.job, [id], JobSQL.job(_:)).first else { throw .noSuchJob(id) }
        return job
    }

    package func cancel(_ id: JobID) async throws(StoreError) -> JobState {
        try await state(ClientSQL.cancel, id)
    }

    package func retry(_ id: JobID) async throws(StoreError) -> JobState {
        try await state(ClientSQL.retry, id)
    }

    package func replay(_ id: JobID) async throws(StoreError) -> JobID {
        try await query(ClientSQL.replay, [id], about: id) { row throws(PostgresError) in try row.get("id") }[0]
    }

    private func state(_ sql: SQL, _ id: JobID) async throws(StoreError) -> JobState {
        let states = try await query(sql, [id], about: id) { row throws(PostgresError) in
            try row.get("state", as: String.self)
        }
        guard let state = states.first.flatMap(JobState.init) else { throw .noSuchJob(id) }
        return state
    }

    // MARK: Workers

    package func register(_ worker: WorkerRegistration) async throws(StoreError) {
        let binds: [(any PostgresBindable)?] = [
            worker.id, worker.name, worker.host, worker.processID, worker.profile,
        ]
        try await execute(WorkerSQL.register, binds)
    }

    package func beat(_ worker: WorkerID, isDraining: Bool) async throws(StoreError) -> Pulse {
        try await query(WorkerSQL.beat, [worker, isDraining], WorkerSQL.pulse(_:))[0]
    }

    package func unregister(_ worker: WorkerID) async throws(StoreError) {
        try await execute(WorkerSQL.unregister, [worker])
    }

    package func claim(_ request: ClaimRequest) async throws(StoreError) -> [Lease] {
        var request = request
        var leases: [Lease] = []
        // A flood of equal jobs takes so many rounds at most: the one that is computed does not wait for all the others.
        for _ in 0..<16 where request.maximum > 0 {
            let claimed = try await query(ClaimSQL.claim, ClaimSQL.binds(request), ClaimSQL.lease(_:))
            let spared = try await joinFlights(claimed)
            leases += try await withWritten(claimed.filter { !spared.contains($0.id) })
            request.maximum -= claimed.count - spared.count
            if spared.isEmpty { break }
        }
        return leases
    }

    /// Those of the claimed jobs that need not be run.
    private func joinFlights(_ claimed: [Lease]) async throws(StoreError) -> Set<JobID> {
        // Nothing without a model is worth the question.
        guard claimed.contains(where: { !$0.model.isEmpty }) else { return [] }
        let binds: [(any PostgresBindable)?] = [claimed.map(\.id), claimed.map(\.runToken)]
        return Set(try await query(ClaimSQL.joinFlights, binds) { row throws(PostgresError) in try row.get("job_id") })
    }

    package func complete(_ completions: [Completion]) async throws(StoreError) -> [JobID: JobState] {
        guard !completions.isEmpty else { return [:] }
        let binds = CompleteSQL.binds(completions, backoff)
        let states = try await query(CompleteSQL.complete, binds) { row throws(PostgresError) in
            (try row.get("job_id", as: JobID.self), try row.get("state", as: String.self))
        }
        return Dictionary(
            uniqueKeysWithValues: states.compactMap { id, name in JobState(rawValue: name).map { (id, $0) } })
    }

    package func handBack(of worker: WorkerID, except known: [RunToken]) async throws(StoreError) -> [JobID] {
        try await query(WorkerSQL.handBack, [worker, known]) { row throws(PostgresError) in try row.get("job_id") }
    }

    package func report(_ progress: [ProgressReport]) async throws(StoreError) -> [JobID: Bool] {
        guard !progress.isEmpty else { return [:] }
        let binds: [(any PostgresBindable)?] = [
            progress.map(\.id), progress.map(\.runToken), progress.map(\.progress),
        ]
        let held = try await query(WorkerSQL.report, binds) { row throws(PostgresError) in
            (try row.get("job_id", as: JobID.self), try row.get("cancel_requested", as: Bool.self))
        }
        return Dictionary(uniqueKeysWithValues: held)
    }

    package func maintain(maximum: Int) async throws(StoreError) -> Maintenance {
        try await query(WorkerSQL.maintain, [maximum]) { row throws(PostgresError) in
            Maintenance(
                rescued: try row.get("rescued"), promoted: try row.get("promoted"), expired: try row.get("expired"))
        }[0]
    }

    // MARK: Publisher

    package func relayEvents(
        maximum: Int, _ publish: @Sendable ([JobEvent]) async throws -> Void
    ) async throws -> Int {
        // The rows stay locked until Redis has taken them: publishers side by side skip each other's, and a crash in
        // between leaves them for the next one.
        let result: Result<Int, any Error> = try await pool.withConnection { connection throws(PostgresError) in
            try await connection.script(OutboxSQL.begin)
            do {
                let rows = try await connection.query(OutboxSQL.take, [maximum])
                let events = try rows.map { row in try OutboxSQL.event(row) }
                if !events.isEmpty {
                    try await publish(events)
                    _ = try await connection.query(OutboxSQL.delete, [events.map(\.sequence)])
                }
                _ = try await connection.query("COMMIT")
                return .success(events.count)
            } catch {
                _ = try? await connection.query("ROLLBACK")
                return .failure(error)
            }
        }
        return try result.get()
    }

    // MARK: Statements

    func query<Value>(
        _ sql: SQL, _ binds: [(any PostgresBindable)?] = [], about id: JobID? = nil,
        _ decode: (PostgresRow) throws(PostgresError) -> Value
    ) async throws(StoreError) -> [Value] {
        do throws(PostgresError) {
            var values: [Value] = []
            for row in try await pool.query(sql, binds) { values.append(try decode(row)) }
            return values
        } catch {
            throw StoreError(error, about: id)
        }
    }

    @discardableResult
    func execute(_ sql: SQL, _ binds: [(any PostgresBindable)?]) async throws(StoreError) -> Int {
        do throws(PostgresError) {
            return try await pool.query(sql, binds).affected
        } catch {
            throw StoreError(error, about: nil)
        }
    }
}

extension StoreError {
    /// - Parameter id: the job that the statement was about.
    init(_ error: PostgresError, about id: JobID?) {
        switch (error.kind, error.sqlState ?? "") {
        case (.connection, _), (.authentication, _), (.retriable, _), (.cancelled, _):
            self = .unavailable(error.message)
        case (_, "MR001"): self = .workerLost
        case (_, "P0002"): self = id.map(StoreError.noSuchJob) ?? .broken(error.message)
        case (_, "55000"): self = .wrongState(error.message)
        case (_, let state) where state.hasPrefix("23") || state.hasPrefix("22"):
            // Checks of the table are called jobs_<column>_check.
            let words = error.constraint?.split(separator: "_") ?? []
            let isCheck = words.count > 2 && words.last == "check"
            let field = words.dropFirst().dropLast().joined(separator: "_")
            self = .refused(isCheck ? "\(field): out of its range" : error.message)
        case (_, "3F000"), (_, "42P01"), (_, "42883"):
            self = .broken(
                "the database has no Millrace schema of this version: run 'jobctl migrate up' (\(error.message))")
        default: self = .broken(error.message)
        }
    }
}
