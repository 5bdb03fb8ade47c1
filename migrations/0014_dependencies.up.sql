-- What an INSERT checks, and jobs that wait for others.
-- A CHECK is evaluated at every UPDATE of the row, which these columns never see: the insert trigger looks at them instead, once,
-- and names the field.
DO $$
DECLARE
    bound record;
BEGIN
    FOR bound IN SELECT conname FROM pg_constraint WHERE conrelid = 'millrace.jobs'::regclass AND contype = 'c' LOOP
        EXECUTE format('ALTER TABLE millrace.jobs DROP CONSTRAINT %I', bound.conname);
    END LOOP;
END
$$;
ALTER TABLE millrace.jobs
    ADD COLUMN depends_on bigint[],
    ADD COLUMN on_dependency_failure text NOT NULL DEFAULT 'fail';
COMMENT ON COLUMN millrace.jobs.depends_on IS 'Earlier jobs that must end before this one may run; at most 1000.';
COMMENT ON COLUMN millrace.jobs.on_dependency_failure IS 'What happens when one of them does not succeed: fail, cancel, or run all the same.';
COMMENT ON COLUMN millrace.jobs.state IS 'blocked (waits for other jobs), scheduled, ready, running, succeeded, failed, cancelled or expired.';
GRANT INSERT (depends_on, on_dependency_failure) ON millrace.jobs TO millrace_client;

-- A job needs earlier ones only, so there is no circle. An edge is new until a tick has seen, holding the row of the job that is
-- needed, that it has not ended: from then on its end finds the edge. So no client's transaction ever holds a job that a worker wants.
CREATE TABLE millrace.dependencies (
    needs  bigint NOT NULL,
    job_id bigint NOT NULL,
    is_new boolean NOT NULL DEFAULT true,
    PRIMARY KEY (needs, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX dependencies_job ON millrace.dependencies (job_id);
CREATE INDEX dependencies_new ON millrace.dependencies (needs) WHERE is_new;
COMMENT ON TABLE millrace.dependencies IS 'One row per blocked job and job that it still waits for.';
COMMENT ON COLUMN millrace.dependencies.needs IS 'The job that must end.';
COMMENT ON COLUMN millrace.dependencies.job_id IS 'The blocked job.';
COMMENT ON COLUMN millrace.dependencies.is_new IS 'To be looked at by the next tick.';
GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.dependencies TO millrace_worker, millrace_admin;

CREATE FUNCTION millrace.unblock(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET enable_hashjoin = on SET jit = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    now_ready bigint[];
BEGIN
    WITH freed AS (
        UPDATE millrace.jobs j
        SET state = CASE WHEN j.run_at > moment THEN 'scheduled' ELSE 'ready' END, run_at = greatest(j.run_at, moment)
        WHERE j.id = ANY (ids) AND j.state = 'blocked' AND NOT EXISTS (SELECT FROM millrace.dependencies d WHERE d.job_id = j.id)
        RETURNING j.id, j.state, j.run_at
    ), later AS (
        INSERT INTO millrace.scheduled (job_id, run_at) SELECT f.id, f.run_at FROM freed f WHERE f.state = 'scheduled'
    )
    SELECT array_agg(f.id) INTO now_ready FROM freed f WHERE f.state = 'ready';
    IF now_ready IS NOT NULL THEN PERFORM millrace.put_in_line(now_ready); END IF;
END
$$;
COMMENT ON FUNCTION millrace.unblock IS 'Of blocked jobs that the caller has locked, those that wait for nothing more get in line.';

CREATE FUNCTION millrace.hold_back(ids bigint[], statement bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    bad record;
BEGIN
    INSERT INTO millrace.dependencies (needs, job_id)
    SELECT DISTINCT d.needs, j.id FROM millrace.jobs j CROSS JOIN LATERAL unnest(j.depends_on) AS d(needs) WHERE j.id = ANY (ids);
    -- What the client may not see is not there.
    SELECT d.job_id, d.needs INTO bad FROM millrace.dependencies d
    LEFT JOIN millrace.jobs n ON n.id = d.needs AND n.id < d.job_id
         AND (n.submitted_by = session_user OR pg_has_role(session_user, 'millrace_admin', 'MEMBER'))
    WHERE d.job_id = ANY (ids) AND n.id IS NULL ORDER BY d.job_id, d.needs LIMIT 1;
    IF FOUND THEN
        PERFORM millrace.refuse(format('depends_on: there is no job %s before this one', bad.needs),
            (SELECT count(*) FROM unnest(statement) AS o WHERE o <= bad.job_id), cardinality(statement));
    END IF;
    DELETE FROM millrace.dependencies d USING millrace.jobs n, millrace.jobs j
    WHERE d.job_id = ANY (ids) AND n.id = d.needs AND j.id = d.job_id
      AND (n.state = 'succeeded' OR n.finished_at IS NOT NULL AND j.on_dependency_failure = 'run');
    UPDATE millrace.jobs SET state = 'blocked' WHERE id = ANY (ids);
    PERFORM millrace.unblock(ids);
END
$$;
COMMENT ON FUNCTION millrace.hold_back IS 'New jobs wait for those that they depend on, as far as these have not ended; statement is all that came with them.';

-- Two jobs that end at the same moment must not each take the other for unfinished: whoever takes an edge away holds the job that
-- waits. All are locked at once and in order.
CREATE FUNCTION millrace.release_dependants(ids bigint[])
RETURNS bigint[] LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    waiting bigint[];
BEGIN
    SELECT array_agg(l.id) INTO waiting FROM (
        SELECT j.id FROM millrace.jobs j
        WHERE j.id = ANY (ARRAY(SELECT DISTINCT d.job_id FROM millrace.dependencies d WHERE d.needs = ANY (ids) ORDER BY d.job_id LIMIT 1000))
        ORDER BY j.id FOR UPDATE) AS l;
    IF waiting IS NULL THEN RETURN '{}'; END IF;
    DELETE FROM millrace.dependencies d USING millrace.jobs n, millrace.jobs j
    WHERE d.needs = ANY (ids) AND d.job_id = ANY (waiting) AND n.id = d.needs AND j.id = d.job_id
      AND (n.state = 'succeeded' OR j.on_dependency_failure = 'run');
    -- The rest is for the ticks: those that can't go on, so that a chain of any length needs no recursion, and those beyond the bound.
    UPDATE millrace.dependencies SET is_new = true WHERE needs = ANY (ids) AND NOT is_new;
    PERFORM millrace.unblock(waiting);
    RETURN waiting;
END
$$;
COMMENT ON FUNCTION millrace.release_dependants IS 'Up to 1000 of the jobs that wait for these ended ones get in line, unless they wait for others, too, or one has not succeeded and they mind. Answers which it has looked at, and holds.';

CREATE FUNCTION millrace.settle_dependencies(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = on SET jit = off AS $$
DECLARE
    ended bigint[];
    unended bigint[];
    waiting bigint[];
    doomed bigint[];
    new_states text[];
    errors jsonb[];
    total integer := 0;
BEGIN
    FOR round IN 1..100 LOOP
        -- A job whose row is held may be ending: its edges are looked at again.
        SELECT array_agg(n.id) FILTER (WHERE n.finished_at IS NOT NULL), array_agg(n.id) FILTER (WHERE n.finished_at IS NULL) INTO ended, unended
        FROM (
            SELECT n.id, n.finished_at FROM millrace.jobs n
            WHERE n.id = ANY (ARRAY(SELECT DISTINCT d.needs FROM millrace.dependencies d WHERE d.is_new ORDER BY d.needs LIMIT maximum))
            ORDER BY n.id FOR SHARE SKIP LOCKED) AS n;
        IF unended IS NOT NULL THEN
            UPDATE millrace.dependencies SET is_new = false WHERE needs = ANY (unended) AND is_new;
        END IF;
        EXIT WHEN ended IS NULL;
        waiting := millrace.release_dependants(ended);
        SELECT array_agg(f.job_id), array_agg(f.state), array_agg(f.error) INTO doomed, new_states, errors FROM (
            SELECT DISTINCT ON (d.job_id) d.job_id, CASE j.on_dependency_failure WHEN 'cancel' THEN 'cancelled' ELSE 'failed' END AS state,
                jsonb_build_object('code', 'dependency_failed', 'message', format('job %s, which this one depends on, is %s', n.id, n.state)) AS error
            FROM millrace.dependencies d JOIN millrace.jobs n ON n.id = d.needs JOIN millrace.jobs j ON j.id = d.job_id
            WHERE d.needs = ANY (ended) AND d.job_id = ANY (waiting) ORDER BY d.job_id, d.needs) AS f;
        CONTINUE WHEN doomed IS NULL;
        DELETE FROM millrace.dependencies WHERE job_id = ANY (doomed);
        PERFORM millrace.end_jobs(doomed, new_states, array_fill(NULL::jsonb, ARRAY[cardinality(doomed)]), errors,
            array_fill(NULL::jsonb, ARRAY[cardinality(doomed)]));
        total := total + cardinality(doomed);
        EXIT WHEN total >= maximum;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION millrace.settle_dependencies IS 'Ends jobs that depend on one that did not succeed, generation by generation, and looks at new edges; answers how many it ended.';

CREATE OR REPLACE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT FROM millrace.dependencies d WHERE d.needs = ANY (ids)) THEN PERFORM millrace.release_dependants(ids); END IF;
END
$$;

CREATE FUNCTION millrace.bounds_error(job millrace.jobs)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN job.priority NOT BETWEEN -100 AND 100 THEN format('priority: must be -100 to 100, is %s', job.priority)
        WHEN job.max_attempts NOT BETWEEN 1 AND 1000 THEN format('max_attempts: must be 1 to 1000, is %s', job.max_attempts)
        WHEN job.max_worker_deaths NOT BETWEEN 1 AND 1000 THEN format('max_worker_deaths: must be 1 to 1000, is %s', job.max_worker_deaths)
        WHEN job.retry_policy NOT IN ('exponential', 'fixed', 'none')
            THEN format('retry_policy: must be exponential, fixed or none, is %s', left(job.retry_policy, 40))
        WHEN job.retry_delay NOT BETWEEN 0 AND 2592000 OR job.retry_delay = 'NaN'
            THEN format('retry_delay: must be 0 to 2592000 seconds, is %s', job.retry_delay)
        WHEN length(job.unique_key) NOT BETWEEN 1 AND 500 THEN 'unique_key: must have 1 to 500 characters'
        WHEN length(job.limit_key) NOT BETWEEN 1 AND 200 THEN 'limit_key: must have 1 to 200 characters'
        WHEN length(job.tenant) > 200 THEN 'tenant: must have at most 200 characters'
        WHEN jsonb_typeof(job.metadata) <> 'object' THEN format('metadata: must be an object, is %s', jsonb_typeof(job.metadata))
        WHEN pg_column_size(job.metadata) > 65536 THEN 'metadata: must have at most 65536 bytes'
        WHEN job.on_dependency_failure NOT IN ('fail', 'cancel', 'run')
            THEN format('on_dependency_failure: must be fail, cancel or run, is %s', left(job.on_dependency_failure, 40))
        WHEN cardinality(job.depends_on) > 1000 THEN format('depends_on: must name at most 1000 jobs, names %s', cardinality(job.depends_on))
        WHEN array_ndims(job.depends_on) > 1 OR array_position(job.depends_on, NULL) IS NOT NULL THEN 'depends_on: must be a plain list of ids'
        WHEN job.state <> 'ready' OR job.attempt <> 0 OR job.result IS NOT NULL OR job.error IS NOT NULL OR job.usage IS NOT NULL
             OR job.started_at IS NOT NULL OR job.finished_at IS NOT NULL OR job.failures <> 0 OR job.worker_deaths <> 0
            THEN 'state: state, attempt, result, error, usage, started_at, finished_at, failures and worker_deaths are set by Millrace, not by INSERT'
    END
$$;
COMMENT ON FUNCTION millrace.bounds_error IS 'Why a column of a new job is refused, beginning with its name; NULL when all are good.';

CREATE FUNCTION millrace.refuse(message text, place bigint, total bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = message, DETAIL = format('row %s of %s', place, total),
        SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = split_part(split_part(message, ':', 1), '.', 1);
END
$$;
COMMENT ON FUNCTION millrace.refuse IS 'Refuses an INSERT because of one of its rows; the message begins with the field''s name.';
-- Without a search_path of its own it becomes a part of the statement that calls it; every name in it is qualified or the catalog's.
ALTER FUNCTION millrace.job_error(text, boolean, text, boolean, jsonb) RESET search_path;

CREATE OR REPLACE FUNCTION millrace.after_insert()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    bad record;
BEGIN
    -- The usual row passes by comparing; only for others is the reason looked for. OFFSET: else each row's queue is matched, not each queue.
    SELECT coalesce(millrace.bounds_error(i), millrace.job_error(i.kind, k.needs_model, i.model, m.name IS NOT NULL, i.input)) AS message, i.id INTO bad
    FROM inserted i LEFT JOIN millrace.kinds k ON k.kind = i.kind LEFT JOIN millrace.models m ON m.name = i.model
    WHERE millrace.job_error(i.kind, k.needs_model, i.model, m.name IS NOT NULL, i.input) IS NOT NULL
       OR NOT (i.priority BETWEEN -100 AND 100 AND i.max_attempts BETWEEN 1 AND 1000 AND i.max_worker_deaths BETWEEN 1 AND 1000
               AND i.retry_policy IN ('exponential', 'fixed', 'none') AND i.retry_delay IS NULL AND i.unique_key IS NULL
               AND i.limit_key IS NULL AND i.tenant = '' AND i.metadata = '{}' AND i.depends_on IS NULL AND i.on_dependency_failure = 'fail'
               AND i.state = 'ready' AND i.attempt = 0 AND i.failures = 0 AND i.worker_deaths = 0
               AND num_nonnulls(i.result, i.error, i.usage, i.started_at, i.finished_at) = 0)
          AND millrace.bounds_error(i) IS NOT NULL
    ORDER BY i.id LIMIT 1;
    IF NOT FOUND THEN
        SELECT 'queue: must be 1 to 100 letters, digits, dots, dashes and underscores, the first a letter or digit' AS message, f.id INTO bad
        FROM (SELECT i.queue, min(i.id) AS id FROM inserted i GROUP BY i.queue OFFSET 0) AS f
        WHERE f.queue !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' ORDER BY f.id LIMIT 1;
    END IF;
    IF FOUND THEN
        PERFORM millrace.refuse(bad.message, (SELECT count(*) FROM inserted WHERE id <= bad.id), (SELECT count(*) FROM inserted));
    END IF;

    BEGIN
        INSERT INTO millrace.unique_keys (kind, unique_key, job_id)
        SELECT kind, unique_key, id FROM inserted WHERE unique_key IS NOT NULL;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = 'unique_key',
            MESSAGE = 'unique_key: an unfinished job of this kind has the same key', DETAIL = SQLERRM;
    END;
    INSERT INTO millrace.deadlines (job_id, deadline) SELECT id, deadline FROM inserted WHERE deadline IS NOT NULL;
    INSERT INTO millrace.scheduled (job_id, run_at) SELECT id, run_at FROM inserted WHERE run_at > now() AND depends_on IS NULL;
    IF FOUND THEN
        UPDATE millrace.jobs j SET state = 'scheduled' FROM inserted i WHERE j.id = i.id AND i.run_at > now() AND i.depends_on IS NULL;
    END IF;
    INSERT INTO millrace.queues (queue)
    SELECT DISTINCT i.queue FROM inserted i WHERE NOT EXISTS (SELECT FROM millrace.queues q WHERE q.queue = i.queue)
    ON CONFLICT DO NOTHING;
    -- As put_in_line.
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at, place, suspect, tenant, limit_key, prefix)
    SELECT i.id, i.queue, i.kind, i.model, i.priority, i.run_at, i.run_at + i.priority * q.priority_step, i.max_worker_deaths = 1,
           i.tenant, i.limit_key, millrace.prefix_chain(i.kind, i.input)
    FROM inserted i JOIN millrace.queues q ON q.queue = i.queue WHERE i.run_at <= now() AND i.depends_on IS NULL;
    -- Jobs for later wake nobody now.
    PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM inserted WHERE run_at <= now() AND depends_on IS NULL HAVING count(*) > 0;
    IF EXISTS (SELECT FROM inserted WHERE depends_on IS NOT NULL) THEN
        PERFORM millrace.hold_back(array_agg(id) FILTER (WHERE depends_on IS NOT NULL), array_agg(id)) FROM inserted;
    END IF;
    RETURN NULL;
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
        PERFORM FROM millrace.jobs WHERE id = job AND state = 'blocked' FOR UPDATE;
        IF FOUND THEN
            DELETE FROM millrace.dependencies WHERE job_id = job;
            PERFORM millrace.end_jobs(ARRAY[job], ARRAY['cancelled'], ARRAY[NULL]::jsonb[], ARRAY[NULL]::jsonb[], ARRAY[NULL]::jsonb[]);
            RETURN 'cancelled';
        END IF;
        UPDATE millrace.leases SET cancel_requested = true WHERE job_id = job;
        IF FOUND THEN
            PERFORM pg_notify('millrace_cancel', job::text);
            RETURN 'running';
        END IF;
        SELECT state INTO state_now FROM millrace.jobs WHERE id = job;
        EXIT WHEN state_now NOT IN ('blocked', 'ready', 'scheduled', 'running');
    END LOOP;
    RETURN state_now;
END
$$;

-- A job that has once begun is left alone, also when it waits for another attempt.
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
    ), held AS (
        SELECT j.id AS job_id FROM millrace.jobs j
        WHERE j.id = ANY (ARRAY(SELECT job_id FROM late WHERE NOT has_begun)) AND j.state = 'blocked' FOR UPDATE SKIP LOCKED
    ), begun AS (
        DELETE FROM millrace.deadlines d USING late WHERE d.job_id = late.job_id AND late.has_begun
    )
    SELECT array_agg(job_id) INTO due FROM (SELECT job_id FROM unready UNION ALL SELECT job_id FROM unscheduled UNION ALL SELECT job_id FROM held) AS missed;
    IF due IS NULL THEN RETURN 0; END IF;
    DELETE FROM millrace.dependencies WHERE job_id = ANY (due);
    PERFORM millrace.end_jobs(due, array_fill('expired'::text, ARRAY[cardinality(due)]), array_fill(NULL::jsonb, ARRAY[cardinality(due)]),
        array_fill(jsonb_build_object('code', 'expired', 'message', 'the deadline passed before the job began'), ARRAY[cardinality(due)]),
        array_fill(NULL::jsonb, ARRAY[cardinality(due)]));
    RETURN cardinality(due);
END
$$;

CREATE OR REPLACE FUNCTION millrace.fsck_jobs()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    WITH places AS (
        SELECT 'ready' AS state, r.job_id FROM millrace.ready r
        UNION ALL SELECT 'scheduled', s.job_id FROM millrace.scheduled s
        UNION ALL SELECT 'running', l.job_id FROM millrace.leases l
        UNION ALL SELECT DISTINCT 'blocked', d.job_id FROM millrace.dependencies d
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

CREATE FUNCTION millrace.fsck_dependencies()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT d.job_id, format('waits for job %s, which is not there', d.needs)
    FROM millrace.dependencies d WHERE NOT EXISTS (SELECT FROM millrace.jobs n WHERE n.id = d.needs)
    UNION ALL
    SELECT d.job_id, format('waits for job %s, which has ended, and nobody will look', d.needs)
    FROM millrace.dependencies d JOIN millrace.jobs n ON n.id = d.needs WHERE NOT d.is_new AND n.finished_at IS NOT NULL
    UNION ALL
    SELECT d.job_id, format('waits for job %s, on which it does not depend', d.needs)
    FROM millrace.dependencies d JOIN millrace.jobs j ON j.id = d.job_id WHERE NOT d.needs = ANY (coalesce(j.depends_on, '{}'))
$$;
COMMENT ON FUNCTION millrace.fsck_dependencies IS 'Contradictions between jobs and what they wait for.';
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
$$;

REVOKE ALL ON FUNCTION millrace.bounds_error(millrace.jobs), millrace.refuse(text, bigint, bigint), millrace.unblock(bigint[]), millrace.hold_back(bigint[], bigint[]),
    millrace.release_dependants(bigint[]), millrace.settle_dependencies(integer), millrace.fsck_dependencies() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.unblock(bigint[]), millrace.release_dependants(bigint[]), millrace.settle_dependencies(integer) TO millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.fsck_dependencies() TO millrace_admin;
