-- Jobs that wait for others get in line: without dependencies nothing would ever let them go on.
DO $$
DECLARE
    waiting bigint[];
BEGIN
    DELETE FROM millrace.dependencies;
    SELECT array_agg(id) INTO waiting FROM millrace.jobs WHERE state = 'blocked';
    IF waiting IS NOT NULL THEN PERFORM millrace.unblock(waiting); END IF;
END
$$;
CREATE OR REPLACE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NULL;
END
$$;
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits()
$$;
DROP FUNCTION millrace.fsck_dependencies();
CREATE OR REPLACE FUNCTION millrace.fsck_jobs()
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
CREATE OR REPLACE FUNCTION millrace.expire(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    due bigint[];
BEGIN
    WITH late AS MATERIALIZED (
        SELECT d.job_id, j.started_at IS NOT NULL AS has_begun
        FROM millrace.deadlines d JOIN millrace.jobs j ON j.id = d.job_id
        WHERE d.deadline <= clock_timestamp()
        ORDER BY d.deadline, d.job_id LIMIT maximum FOR UPDATE OF d SKIP LOCKED
    ), unready AS (
        DELETE FROM millrace.ready r WHERE r.job_id = ANY (ARRAY(
            SELECT r.job_id FROM millrace.ready r
            WHERE r.job_id = ANY (ARRAY(SELECT job_id FROM late WHERE NOT has_begun)) FOR UPDATE SKIP LOCKED))
        RETURNING r.job_id
    ), unscheduled AS (
        DELETE FROM millrace.scheduled s WHERE s.job_id = ANY (ARRAY(
            SELECT s.job_id FROM millrace.scheduled s
            WHERE s.job_id = ANY (ARRAY(SELECT job_id FROM late WHERE NOT has_begun)) FOR UPDATE SKIP LOCKED))
        RETURNING s.job_id
    ), begun AS (
        DELETE FROM millrace.deadlines d USING late WHERE d.job_id = late.job_id AND late.has_begun
    )
    SELECT array_agg(job_id) INTO due FROM (SELECT job_id FROM unready UNION ALL SELECT job_id FROM unscheduled) AS missed;
    IF due IS NULL THEN RETURN 0; END IF;
    PERFORM millrace.end_jobs(due, array_fill('expired'::text, ARRAY[cardinality(due)]), array_fill(NULL::jsonb, ARRAY[cardinality(due)]),
        array_fill(jsonb_build_object('code', 'expired', 'message', 'the deadline passed before the job began'), ARRAY[cardinality(due)]),
        array_fill(NULL::jsonb, ARRAY[cardinality(due)]));
    RETURN cardinality(due);
END
$$;
CREATE OR REPLACE FUNCTION millrace.cancel(job bigint)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    owner name;
    state_now text;
BEGIN
    SELECT submitted_by INTO owner FROM millrace.jobs WHERE id = job;
    IF owner IS NULL OR NOT (owner = session_user OR pg_has_role(session_user, 'millrace_admin', 'MEMBER')) THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('id: there is no job %s', job);
    END IF;
    -- A row that a claim, a promotion or a completion holds at this moment is waited for; what the job became meanwhile
    -- is found in the next round.
    FOR round IN 1..100 LOOP
        WITH unready AS (DELETE FROM millrace.ready WHERE job_id = job RETURNING job_id),
             unscheduled AS (DELETE FROM millrace.scheduled WHERE job_id = job RETURNING job_id)
        SELECT 'cancelled' INTO state_now FROM (SELECT FROM unready UNION ALL SELECT FROM unscheduled) AS waiting;
        IF state_now IS NOT NULL THEN
            PERFORM millrace.end_jobs(ARRAY[job], ARRAY['cancelled'], ARRAY[NULL]::jsonb[], ARRAY[NULL]::jsonb[], ARRAY[NULL]::jsonb[]);
            RETURN state_now;
        END IF;
        UPDATE millrace.leases SET cancel_requested = true WHERE job_id = job;
        IF FOUND THEN
            PERFORM pg_notify('millrace_cancel', job::text);
            RETURN 'running';
        END IF;
        SELECT state INTO state_now FROM millrace.jobs WHERE id = job;
        EXIT WHEN state_now NOT IN ('ready', 'scheduled', 'running');
    END LOOP;
    RETURN state_now;
END
$$;
CREATE OR REPLACE FUNCTION millrace.after_insert()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    bad record;
BEGIN
    SELECT j.id, millrace.job_error(j.kind, k.needs_model, j.model, m.name IS NOT NULL, j.input) AS message INTO bad
    FROM inserted j
    LEFT JOIN millrace.kinds k ON k.kind = j.kind
    LEFT JOIN millrace.models m ON m.name = j.model
    WHERE millrace.job_error(j.kind, k.needs_model, j.model, m.name IS NOT NULL, j.input) IS NOT NULL
    ORDER BY j.id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = bad.message,
            DETAIL = format('row %s of %s', (SELECT count(*) FROM inserted WHERE id <= bad.id), (SELECT count(*) FROM inserted)),
            SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = split_part(split_part(bad.message, ':', 1), '.', 1);
    END IF;
    IF EXISTS (SELECT FROM inserted WHERE state <> 'ready' OR attempt <> 0 OR result IS NOT NULL OR error IS NOT NULL
               OR usage IS NOT NULL OR started_at IS NOT NULL OR finished_at IS NOT NULL OR failures <> 0 OR worker_deaths <> 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = 'millrace', TABLE = 'jobs',
            MESSAGE = 'state: state, attempt, result, error, usage, started_at, finished_at, failures and worker_deaths are set by Millrace, not by INSERT';
    END IF;

    BEGIN
        INSERT INTO millrace.unique_keys (kind, unique_key, job_id)
        SELECT kind, unique_key, id FROM inserted WHERE unique_key IS NOT NULL;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = 'unique_key',
            MESSAGE = 'unique_key: an unfinished job of this kind has the same key', DETAIL = SQLERRM;
    END;
    INSERT INTO millrace.deadlines (job_id, deadline) SELECT id, deadline FROM inserted WHERE deadline IS NOT NULL;
    INSERT INTO millrace.scheduled (job_id, run_at) SELECT id, run_at FROM inserted WHERE run_at > now();
    IF FOUND THEN
        UPDATE millrace.jobs j SET state = 'scheduled' FROM inserted i WHERE j.id = i.id AND i.run_at > now();
    END IF;
    INSERT INTO millrace.queues (queue)
    SELECT DISTINCT i.queue FROM inserted i WHERE NOT EXISTS (SELECT FROM millrace.queues q WHERE q.queue = i.queue)
    ON CONFLICT DO NOTHING;
    -- As put_in_line.
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at, place, suspect, tenant, limit_key, prefix)
    SELECT i.id, i.queue, i.kind, i.model, i.priority, i.run_at, i.run_at + i.priority * q.priority_step, i.max_worker_deaths = 1,
           i.tenant, i.limit_key, millrace.prefix_chain(i.kind, i.input)
    FROM inserted i JOIN millrace.queues q ON q.queue = i.queue WHERE i.run_at <= now();
    -- Jobs for later wake nobody now.
    PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM inserted WHERE run_at <= now() HAVING count(*) > 0;
    RETURN NULL;
END
$$;
ALTER FUNCTION millrace.job_error(text, boolean, text, boolean, jsonb) SET search_path = pg_catalog;
DROP FUNCTION millrace.settle_dependencies(integer), millrace.release_dependants(bigint[]), millrace.hold_back(bigint[], bigint[]),
    millrace.unblock(bigint[]), millrace.refuse(text, bigint, bigint), millrace.bounds_error(millrace.jobs);
DROP TABLE millrace.dependencies;
ALTER TABLE millrace.jobs DROP COLUMN depends_on, DROP COLUMN on_dependency_failure;
COMMENT ON COLUMN millrace.jobs.state IS 'blocked, scheduled, ready, running, succeeded, failed, cancelled or expired.';
ALTER TABLE millrace.jobs
    ADD CHECK (queue ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    ADD CHECK (priority BETWEEN -100 AND 100),
    ADD CHECK (max_attempts BETWEEN 1 AND 1000),
    ADD CHECK (length(unique_key) BETWEEN 1 AND 500),
    ADD CHECK (length(tenant) <= 200),
    ADD CHECK (jsonb_typeof(metadata) = 'object' AND pg_column_size(metadata) <= 65536),
    ADD CHECK (state IN ('blocked', 'scheduled', 'ready', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
    ADD CHECK (retry_policy IN ('exponential', 'fixed', 'none')),
    ADD CHECK (retry_delay BETWEEN 0 AND 2592000),
    ADD CHECK (max_worker_deaths BETWEEN 1 AND 1000),
    ADD CHECK (length(limit_key) BETWEEN 1 AND 200);
