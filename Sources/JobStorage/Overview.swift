// What people ask of the queue: lists of jobs, workers and queues.
import Foundation
import JSON
import JobModel
import PostgresClient

package struct WorkerSummary: Sendable {
    package var id: WorkerID
    package var name: String
    package var host: String
    package var processID: Int
    /// alive, draining or lost.
    package var state: String
    package var running: Int
    package var startedAt: String
    /// Seconds since the last heartbeat.
    package var silence: Double
}

package struct QueueSummary: Sendable {
    package var queue: String
    package var isPaused: Bool
    /// Seconds that a step of priority is worth.
    package var priorityStep: Double
    /// Seconds by which a job may be overtaken by later ones that suit a worker better.
    package var affinityWindow: Double
    package var ready: Int
    package var scheduled: Int
    package var running: Int
    /// Failed jobs.
    package var dead: Int
    /// Seconds that the oldest ready job has waited.
    package var oldest: Double?
}

extension PostgresJobStore {
    /// Newest first; `before` is the last id of the page before.
    package func list(
        state: JobState? = nil, kind: String? = nil, queue: String? = nil, before: JobID? = nil, limit: Int
    ) async throws(StoreError) -> [Job] {
        try await query(JobSQL.list, [state?.rawValue, kind, queue, before, limit], JobSQL.job(_:))
    }

    package func states(of ids: [JobID]) async throws(StoreError) -> [JobID: JobState] {
        let pairs = try await query(JobSQL.states, [ids]) { row throws(PostgresError) in
            (try row.get("id", as: JobID.self), try row.get("state", as: String.self))
        }
        return Dictionary(
            uniqueKeysWithValues: pairs.compactMap { id, name in JobState(rawValue: name).map { (id, $0) } })
    }

    package func progress(of id: JobID) async throws(StoreError) -> JSONValue? {
        try await query(JobSQL.progress, [id]) { row throws(PostgresError) in
            try row.get("progress", as: JSONValue.self)
        }.first
    }

    package func attempts(of id: JobID) async throws(StoreError) -> [AttemptRecord] {
        try await query(JobSQL.attempts, [id], JobSQL.attempt(_:))
    }

    package func workers() async throws(StoreError) -> [WorkerSummary] {
        try await query(OverviewSQL.workers) { row throws(PostgresError) in
            WorkerSummary(
                id: try row.get("id"), name: try row.get("name"), host: try row.get("host"),
                processID: try row.get("pid"), state: try row.get("state"), running: try row.get("running"),
                startedAt: try row.get("started_at"), silence: try row.get("silence"))
        }
    }

    package func queues() async throws(StoreError) -> [QueueSummary] {
        try await query(OverviewSQL.queues) { row throws(PostgresError) in
            QueueSummary(
                queue: try row.get("queue"), isPaused: try row.get("paused"),
                priorityStep: try row.get("priority_step"), affinityWindow: try row.get("affinity_window"),
                ready: try row.get("ready"),
                scheduled: try row.get("scheduled"), running: try row.get("running"), dead: try row.get("dead"),
                oldest: try row.optional("oldest"))
        }
    }

    package func setPaused(_ isPaused: Bool, queue: String) async throws(StoreError) {
        try await execute(OverviewSQL.setPaused, [queue, isPaused])
    }

    package func setPriorityStep(_ seconds: Double, queue: String) async throws(StoreError) {
        try await execute(OverviewSQL.setPriorityStep, [queue, seconds])
    }

    package func setAffinityWindow(_ seconds: Double, queue: String) async throws(StoreError) {
        try await execute(OverviewSQL.setAffinityWindow, [queue, seconds])
    }

    /// Seconds from the beginning of the transaction that inserted the job to the start of its latest attempt.
    package func wait(of id: JobID) async throws(StoreError) -> Double {
        let waits = try await query(OverviewSQL.wait, [id]) { row throws(PostgresError) in
            try row.get("seconds", as: Double.self)
        }
        guard let wait = waits.first else { throw .noSuchJob(id) }
        return wait
    }

    /// True when nothing in the queue waits or runs.
    package func isIdle(_ queue: String) async throws(StoreError) -> Bool {
        try await query(OverviewSQL.isIdle, [queue]) { row throws(PostgresError) in try row.get("idle") }[0]
    }
}

enum OverviewSQL {
    /// Workers look again when a pause ends, and find nothing when one begins.
    static let setPaused: SQL = """
        WITH changed AS (
            INSERT INTO millrace.queues (queue, paused) VALUES ($1, $2)
            ON CONFLICT (queue) DO UPDATE SET paused = EXCLUDED.paused RETURNING queue
        )
        SELECT millrace.notify_ready(ARRAY[queue]) FROM changed
        """

    static let setPriorityStep: SQL = """
        INSERT INTO millrace.queues (queue, priority_step) VALUES ($1, make_interval(secs => $2::float8))
        ON CONFLICT (queue) DO UPDATE SET priority_step = EXCLUDED.priority_step
        """

    static let setAffinityWindow: SQL = """
        INSERT INTO millrace.queues (queue, affinity_window) VALUES ($1, make_interval(secs => $2::float8))
        ON CONFLICT (queue) DO UPDATE SET affinity_window = EXCLUDED.affinity_window
        """

    static let wait: SQL = """
        SELECT extract(epoch FROM started_at - created_at)::float8 AS seconds FROM millrace.jobs
        WHERE id = $1 AND started_at IS NOT NULL
        """

    static let isIdle: SQL = """
        SELECT NOT EXISTS (SELECT FROM millrace.ready WHERE queue = $1)
            AND NOT EXISTS (SELECT FROM millrace.leases l JOIN millrace.jobs j ON j.id = l.job_id WHERE j.queue = $1) AS idle
        """

    static let workers: SQL = """
        SELECT id, name, host, pid, started_at,
            CASE WHEN lost OR beat_at < clock_timestamp() - millrace.worker_timeout() THEN 'lost'
                 WHEN draining THEN 'draining' ELSE 'alive' END AS state,
            (SELECT count(*) FROM millrace.leases WHERE worker_id = workers.id) AS running,
            extract(epoch FROM clock_timestamp() - beat_at)::float8 AS silence
        FROM millrace.workers ORDER BY started_at, id
        """

    /// Counts hot tables only: they are as large as the work at hand, not as the history.
    static let queues: SQL = """
        SELECT q.queue, q.paused, extract(epoch FROM q.priority_step)::float8 AS priority_step,
            extract(epoch FROM q.affinity_window)::float8 AS affinity_window,
            (SELECT count(*) FROM millrace.ready r WHERE r.queue = q.queue) AS ready,
            (SELECT count(*) FROM millrace.scheduled s JOIN millrace.jobs j ON j.id = s.job_id WHERE j.queue = q.queue) AS scheduled,
            (SELECT count(*) FROM millrace.leases l JOIN millrace.jobs j ON j.id = l.job_id WHERE j.queue = q.queue) AS running,
            (SELECT count(*) FROM millrace.dead_letters d WHERE d.queue = q.queue) AS dead,
            (SELECT extract(epoch FROM clock_timestamp() - min(r.run_at))::float8 FROM millrace.ready r WHERE r.queue = q.queue) AS oldest
        FROM millrace.queues q ORDER BY q.queue
        """
}
