-- What the tables of the queue may never say together. One statement sees one moment, so it may be asked while work goes on.

CREATE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    WITH places AS (
        SELECT 'ready' AS state, r.job_id FROM millrace.ready r
        UNION ALL SELECT 'scheduled', s.job_id FROM millrace.scheduled s
        UNION ALL SELECT 'running', l.job_id FROM millrace.leases l
    ), tokens AS (
        SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last FROM millrace.run_tokens
    )
    SELECT j.id, format('the job is %s, but %s', j.state,
               coalesce('stands in the table of those that are ' || string_agg(p.state, ' and ' ORDER BY p.state), 'stands in no table of the queue'))
    FROM millrace.jobs j LEFT JOIN places p ON p.job_id = j.id
    WHERE j.finished_at IS NULL OR p.job_id IS NOT NULL
    GROUP BY j.id HAVING coalesce(string_agg(p.state, ' '), '') <> j.state
    UNION ALL
    SELECT p.job_id, format('is %s, but there is no such job', p.state)
    FROM places p WHERE NOT EXISTS (SELECT FROM millrace.jobs j WHERE j.id = p.job_id)
    UNION ALL
    SELECT id, format('the job is %s, but finished_at is %s', state, coalesce(finished_at::text, 'not set'))
    FROM millrace.jobs WHERE (finished_at IS NULL) <> (state IN ('blocked', 'scheduled', 'ready', 'running'))
    UNION ALL
    SELECT r.job_id, 'its place in the line has another queue, kind, model or priority than the job'
    FROM millrace.ready r JOIN millrace.jobs j ON j.id = r.job_id
    WHERE (r.queue, r.kind, r.model, r.priority) <> (j.queue, j.kind, j.model, j.priority)
    UNION ALL
    SELECT l.job_id, format('its lease %s belongs to no worker', l.run_token)
    FROM millrace.leases l WHERE NOT EXISTS (SELECT FROM millrace.workers w WHERE w.id = l.worker_id)
    UNION ALL
    SELECT l.job_id, format('its lease %s was never handed out', l.run_token) FROM millrace.leases l, tokens WHERE l.run_token > tokens.last
    UNION ALL
    SELECT l.job_id, format('its lease %s is older than an attempt that has ended', l.run_token)
    FROM millrace.leases l WHERE EXISTS (SELECT FROM millrace.attempts a WHERE a.job_id = l.job_id AND a.run_token >= l.run_token)
    UNION ALL
    SELECT l.job_id, format('worker %s runs more than one job that may be poison', l.worker_id)
    FROM millrace.leases l WHERE l.suspect AND EXISTS (
        SELECT FROM millrace.leases o WHERE o.suspect AND o.worker_id = l.worker_id AND o.job_id < l.job_id)
    UNION ALL
    SELECT coalesce(k.job_id, j.id), 'its unique key and the table of keys of unfinished jobs differ'
    FROM millrace.unique_keys k
    FULL JOIN (SELECT id, kind, unique_key FROM millrace.jobs WHERE unique_key IS NOT NULL AND finished_at IS NULL) j ON j.id = k.job_id
    WHERE (k.kind, k.unique_key) IS DISTINCT FROM (j.kind, j.unique_key)
    UNION ALL
    SELECT d.job_id, 'its deadline is kept, but the job has ended, or has none'
    FROM millrace.deadlines d LEFT JOIN millrace.jobs j ON j.id = d.job_id
    WHERE j.finished_at IS NOT NULL OR j.deadline IS NULL
    UNION ALL
    SELECT p.job_id, 'what it has so far is kept, but the job has ended'
    FROM millrace.partials p LEFT JOIN millrace.jobs j ON j.id = p.job_id WHERE j.id IS NULL OR j.finished_at IS NOT NULL
    UNION ALL
    SELECT coalesce(d.job_id, j.id), 'failed jobs and dead letters differ'
    FROM millrace.dead_letters d FULL JOIN (SELECT id FROM millrace.jobs WHERE state = 'failed') j ON j.id = d.job_id
    WHERE d.job_id IS NULL OR j.id IS NULL
    UNION ALL
    SELECT o.job_id, 'an event tells of a job that is not there, or not in that state'
    FROM millrace.outbox o LEFT JOIN millrace.jobs j ON j.id = o.job_id
    WHERE j.id IS NULL OR (o.event ->> 'attempt')::int > j.attempt
    UNION ALL
    SELECT a.job_id, format('its attempt %s holds a token that was never handed out', a.attempt)
    FROM millrace.attempts a, tokens WHERE a.run_token > tokens.last
$$;
COMMENT ON FUNCTION millrace.fsck IS 'Contradictions between the tables of the queue; none when all is well. Reads all jobs.';
REVOKE ALL ON FUNCTION millrace.fsck() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.fsck() TO millrace_admin;
