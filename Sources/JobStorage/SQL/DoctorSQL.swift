// The doctor's checks: each gives severity, topic, finding and advice for everything that it finds.
import PostgresClient

enum DoctorSQL {
    static let time: SQL = "SELECT extract(epoch FROM clock_timestamp())::float8 AS now"

    /// With their binds.
    static func checks(_ patience: Double) -> [(SQL, [(any PostgresBindable)?])] {
        let others = [
            workers, unservedQueues, pausedQueues, preparedTransactions, replicationSlots, deadRows, autovacuum,
            durability,
            outbox, stuckJobs, waitingForNobody, overdue, connections, deadLetters,
        ]
        return [(heldSnapshots, [patience])] + others.map { ($0, []) }
    }

    private static let workers: SQL = """
        SELECT 'error' AS severity, 'workers' AS topic, format('%s jobs are ready, but no worker is alive', r.jobs) AS finding,
            'Start inference-worker; jobctl workers shows those that are registered.' AS advice
        FROM (SELECT count(*) AS jobs FROM (SELECT FROM millrace.ready LIMIT 100000) AS first) AS r
        WHERE r.jobs > 0 AND NOT EXISTS (
            SELECT FROM millrace.workers WHERE NOT lost AND beat_at >= clock_timestamp() - millrace.worker_timeout())
        UNION ALL
        SELECT 'error', 'workers', format('worker %s on %s has been silent for %s s and still holds %s jobs', w.name, w.host,
                round(extract(epoch FROM clock_timestamp() - w.beat_at)), count(*)),
            'Any worker that is alive takes its jobs back within a second; start one.'
        FROM millrace.workers w JOIN millrace.leases l ON l.worker_id = w.id
        WHERE w.beat_at < clock_timestamp() - 2 * millrace.worker_timeout() GROUP BY w.id
        """

    /// Walks from queue to queue, so that a deep one costs no more than an empty one.
    private static let unservedQueues: SQL = """
        SELECT 'error' AS severity, 'queues' AS topic, format('queue %s has ready jobs, but no worker that is alive serves it', q.queue) AS finding,
            'Give a worker''s profile this queue.' AS advice
        FROM millrace.queues q
        WHERE NOT q.paused AND EXISTS (SELECT FROM millrace.ready r WHERE r.queue = q.queue)
          AND EXISTS (SELECT FROM millrace.workers WHERE NOT lost AND beat_at >= clock_timestamp() - millrace.worker_timeout())
          AND NOT EXISTS (
            SELECT FROM millrace.workers w WHERE NOT w.lost AND NOT w.draining
                AND w.beat_at >= clock_timestamp() - millrace.worker_timeout() AND w.profile -> 'queues' ? q.queue)
        """

    private static let pausedQueues: SQL = """
        SELECT 'warning' AS severity, 'queues' AS topic, format('queue %s is paused, and jobs wait in it', q.queue) AS finding,
            format('jobctl resume %s', q.queue) AS advice
        FROM millrace.queues q WHERE q.paused AND EXISTS (SELECT FROM millrace.ready r WHERE r.queue = q.queue)
        """

    /// Snapshots of other databases don't keep rows of this one.
    private static let heldSnapshots: SQL = """
        SELECT CASE WHEN a.seconds > 600 THEN 'error' ELSE 'warning' END AS severity, 'snapshots' AS topic,
            format('process %s (%s, user %s) has held a snapshot for %s s: dead rows can''t be removed meanwhile', a.pid,
                coalesce(nullif(a.application_name, ''), 'no name'), a.usename, round(a.seconds)) AS finding,
            format('It is %s. End its transaction, or SELECT pg_terminate_backend(%s).', a.state, a.pid) AS advice
        FROM (SELECT *, extract(epoch FROM clock_timestamp() - xact_start) AS seconds FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
                AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)) AS a
        WHERE a.seconds > $1
        """

    private static let preparedTransactions: SQL = """
        SELECT 'error' AS severity, 'snapshots' AS topic,
            format('the prepared transaction %s is %s s old: dead rows can''t be removed meanwhile', gid,
                round(extract(epoch FROM clock_timestamp() - prepared))) AS finding,
            format('COMMIT PREPARED or ROLLBACK PREPARED %L.', gid) AS advice
        FROM pg_prepared_xacts WHERE database = current_database() AND prepared < clock_timestamp() - interval '1 minute'
        """

    private static let replicationSlots: SQL = """
        SELECT 'warning' AS severity, 'snapshots' AS topic,
            format('replication slot %s keeps rows of %s transactions', slot_name, greatest(age(xmin), age(catalog_xmin))) AS finding,
            format('If nobody reads it: SELECT pg_drop_replication_slot(%L).', slot_name) AS advice
        FROM pg_replication_slots WHERE greatest(age(xmin), age(catalog_xmin)) > 1000000
        """

    private static let deadRows: SQL = """
        SELECT 'warning' AS severity, 'bloat' AS topic,
            format('millrace.%s has %s dead rows beside %s live ones (%s), last vacuumed %s', s.relname, s.n_dead_tup, s.n_live_tup,
                pg_size_pretty(pg_total_relation_size(s.relid)), coalesce(greatest(s.last_vacuum, s.last_autovacuum)::text, 'never')) AS finding,
            format('Look for a held snapshot; then VACUUM millrace.%s, and REINDEX TABLE CONCURRENTLY if its size stays.', s.relname) AS advice
        FROM pg_stat_user_tables s
        WHERE s.schemaname = 'millrace' AND s.n_dead_tup > 100000 AND s.n_dead_tup > 2 * s.n_live_tup
        """

    private static let autovacuum: SQL = """
        SELECT 'error' AS severity, 'autovacuum' AS topic, 'autovacuum is off' AS finding, 'Set autovacuum = on.' AS advice
        WHERE current_setting('autovacuum') <> 'on'
        UNION ALL
        SELECT 'error', 'autovacuum', format('autovacuum is off for millrace.%s', relname),
            format('ALTER TABLE millrace.%s RESET (autovacuum_enabled).', relname)
        FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=0']
        """

    private static let durability: SQL = """
        SELECT 'error' AS severity, 'durability' AS topic, format('%s is off: a crash of the server can lose accepted results', name) AS finding,
            format('Set %s = on.', name) AS advice
        FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'
        """

    private static let outbox: SQL = """
        SELECT CASE WHEN e.seconds > 600 THEN 'error' ELSE 'warning' END AS severity, 'outbox' AS topic,
            format('the oldest event has waited for %s s to be published', round(e.seconds)) AS finding,
            'Is Redis away? The workers'' logs tell. Nothing is lost meanwhile.' AS advice
        FROM (SELECT extract(epoch FROM clock_timestamp() - finished_at) AS seconds FROM millrace.events ORDER BY seq LIMIT 1) AS e
        WHERE e.seconds > 60
        """

    /// What a generation writes is stored about twice a second.
    private static let stuckJobs: SQL = """
        SELECT 'warning' AS severity, 'stuck' AS topic,
            format('job %s has run for %s s and written nothing', l.job_id, round(extract(epoch FROM clock_timestamp() - l.claimed_at))) AS finding,
            format('jobctl status %s; jobctl cancel %s stops it within a step.', l.job_id, l.job_id) AS advice
        FROM millrace.leases l JOIN millrace.jobs j ON j.id = l.job_id
        WHERE j.kind = 'generate' AND l.claimed_at < clock_timestamp() - interval '10 minutes'
          AND NOT EXISTS (SELECT FROM millrace.chunks c WHERE c.job_id = l.job_id)
        ORDER BY l.claimed_at LIMIT 20
        """

    private static let waitingForNobody: SQL = """
        SELECT 'error' AS severity, 'limits' AS topic,
            format('jobs wait for %s %s, whose limit of %s is not reached', l.scope, l.name, l.running) AS finding,
            'A worker''s tick lets them in within a second; start a worker.' AS advice
        FROM millrace.limits l
        WHERE l.running > (SELECT count(*) FROM millrace.slots s WHERE s.scope = l.scope AND s.name = l.name)
          AND EXISTS (SELECT FROM millrace.ready r WHERE r.waits_scope = l.scope AND r.waits_name = l.name)
          AND NOT EXISTS (SELECT FROM millrace.workers WHERE NOT lost AND beat_at >= clock_timestamp() - millrace.worker_timeout())
        """

    private static let overdue: SQL = """
        SELECT 'error' AS severity, 'schedule' AS topic,
            format('the job that should have become ready first is %s s late', round(s.seconds)) AS finding,
            'Ticks of workers do that; is one alive, and can it reach the database?' AS advice
        FROM (SELECT extract(epoch FROM clock_timestamp() - run_at) AS seconds FROM millrace.scheduled ORDER BY run_at, job_id LIMIT 1) AS s
        WHERE s.seconds > 30
        """

    private static let connections: SQL = """
        SELECT 'warning' AS severity, 'connections' AS topic, format('%s of %s connections are taken', c.taken, c.most) AS finding,
            'Raise max_connections, or put a pooler in front.' AS advice
        FROM (SELECT count(*) AS taken, current_setting('max_connections')::int AS most FROM pg_stat_activity
              WHERE backend_type = 'client backend') AS c WHERE c.taken > 0.8 * c.most
        """

    private static let deadLetters: SQL = """
        SELECT 'warning' AS severity, 'failures' AS topic, format('%s jobs of queue %s failed in the last hour with code %s', count(*), queue, code) AS finding,
            format('jobctl dead --queue %s --code %s shows them.', queue, code) AS advice
        FROM millrace.dead_letters WHERE failed_at > clock_timestamp() - interval '1 hour'
        GROUP BY queue, code HAVING count(*) >= 10 ORDER BY count(*) DESC LIMIT 10
        """
}
