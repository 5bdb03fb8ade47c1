-- What workers do: register, beat, claim, report. Every write of an attempt is guarded by (job_id, run_token).
-- Lock order everywhere: ready, scheduled or lease row first, then the row of jobs.

CREATE FUNCTION millrace.worker_timeout() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN interval '10 seconds';
COMMENT ON FUNCTION millrace.worker_timeout IS 'A worker without a heartbeat for this long is dead: five missed beats.';

CREATE FUNCTION millrace.register_worker(id uuid, name text, host text, pid integer, profile jsonb)
RETURNS void LANGUAGE sql SET search_path = pg_catalog AS $$
    INSERT INTO millrace.workers (id, name, host, pid, profile) VALUES (id, name, host, pid, profile)
$$;
COMMENT ON FUNCTION millrace.register_worker IS 'Announces a new worker process.';

-- One statement on one row per worker: the beat must get through on a machine with all cores busy.
CREATE FUNCTION millrace.beat(worker uuid, is_draining boolean, OUT is_alive boolean, OUT cancelled bigint[])
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE millrace.workers SET beat_at = clock_timestamp(), draining = is_draining WHERE id = worker AND NOT lost;
    is_alive := FOUND;
    SELECT coalesce(array_agg(job_id), '{}') INTO cancelled
    FROM millrace.leases WHERE worker_id = worker AND cancel_requested;
END
$$;
COMMENT ON FUNCTION millrace.beat IS 'Heartbeat. is_alive false: the worker was found dead and must start over under a new id. cancelled: its jobs that clients want stopped.';

-- The lane fixes (queue, kind, model), so each LATERAL is one ordered scan of ready_claim that stops after the rows it
-- needs. MATERIALIZED is the fence: without it the planner may run the locking scan more than once and take more rows.
CREATE FUNCTION millrace.claim(worker uuid, queues text[], kinds text[], models text[], maximum integer)
RETURNS TABLE (job_id bigint, run_token bigint, kind text, model text, input jsonb, queue text, priority smallint,
               attempt smallint, max_attempts smallint, tenant text, created_at double precision, progress jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
#variable_conflict use_column
BEGIN
    -- The lock keeps rescue from taking this worker for one without leases while the claim is under way; beats pass it.
    PERFORM FROM millrace.workers w WHERE w.id = worker AND NOT w.lost FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'MR001', MESSAGE = 'worker: not registered or found dead';
    END IF;
    RETURN QUERY
    WITH lane AS (
        SELECT q.queue, k.kind, m.model
        FROM millrace.queues q, millrace.kinds k, unnest(models) AS m(model)
        WHERE q.queue = ANY (queues) AND NOT q.paused AND k.kind = ANY (kinds) AND k.needs_model
        UNION ALL
        SELECT q.queue, k.kind, ''
        FROM millrace.queues q, millrace.kinds k
        WHERE q.queue = ANY (queues) AND NOT q.paused AND k.kind = ANY (kinds) AND NOT k.needs_model
    ), picked AS MATERIALIZED (
        SELECT r.job_id
        FROM lane CROSS JOIN LATERAL (
            SELECT r.job_id, r.priority, r.run_at
            FROM millrace.ready r
            WHERE r.queue = lane.queue AND r.kind = lane.kind AND r.model = lane.model
            ORDER BY r.priority, r.run_at, r.job_id
            LIMIT maximum
            FOR UPDATE SKIP LOCKED
        ) r
        ORDER BY r.priority, r.run_at, r.job_id
        LIMIT maximum
    ), taken AS (
        DELETE FROM millrace.ready r WHERE r.job_id = ANY (ARRAY(SELECT p.job_id FROM picked p))
        RETURNING r.job_id, r.run_at
    ), leased AS (
        INSERT INTO millrace.leases (job_id, run_token, worker_id)
        SELECT t.job_id, nextval('millrace.run_tokens'), worker FROM taken t
        RETURNING job_id, run_token
    ), started AS (
        UPDATE millrace.jobs j SET state = 'running', attempt = j.attempt + 1, started_at = clock_timestamp()
        FROM leased l WHERE j.id = l.job_id
        RETURNING j.*, l.run_token
    )
    SELECT s.id, s.run_token, s.kind, s.model, s.input, s.queue, s.priority, s.attempt, s.max_attempts, s.tenant,
           extract(epoch FROM s.created_at)::float8, p.progress
    FROM started s
    LEFT JOIN millrace.partials p ON p.job_id = s.id
    ORDER BY s.priority, s.run_at, s.id;
END
$$;
COMMENT ON FUNCTION millrace.claim IS 'Claims up to maximum jobs of these queues, kinds and models for the worker; each gets a new run_token.';

CREATE FUNCTION millrace.event(job millrace.jobs) RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT jsonb_build_object('id', job.id, 'kind', job.kind, 'state', job.state, 'attempt', job.attempt,
                              'finished_at', job.finished_at)
        || CASE WHEN job.result IS NOT NULL AND pg_column_size(job.result) <= 65536
                THEN jsonb_build_object('result', job.result) ELSE '{}' END
$$;
COMMENT ON FUNCTION millrace.event IS 'The event that tells of a job''s end; a result of more than 64 KiB is left to a SELECT.';

-- The one place where a job ends: state, result, keys and the event change together or not at all.
CREATE FUNCTION millrace.end_jobs(ids bigint[], new_states text[], results jsonb[], errors jsonb[], usages jsonb[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    WITH ended AS (
        UPDATE millrace.jobs j
        SET state = g.state, result = g.result, error = coalesce(g.error, CASE WHEN g.state <> 'succeeded' THEN j.error END),
            usage = coalesce(g.usage, j.usage), finished_at = clock_timestamp()
        FROM unnest(ids, new_states, results, errors, usages) AS g(id, state, result, error, usage)
        WHERE j.id = g.id
        RETURNING j AS job
    )
    INSERT INTO millrace.outbox (job_id, event)
    SELECT (job).id, millrace.event(job) FROM ended ORDER BY (job).id;
    DELETE FROM millrace.partials WHERE job_id = ANY (ids);
    DELETE FROM millrace.unique_keys WHERE job_id = ANY (ids);
    DELETE FROM millrace.deadlines WHERE job_id = ANY (ids);
    PERFORM pg_notify('millrace_outbox', '');
END
$$;
COMMENT ON FUNCTION millrace.end_jobs IS 'Writes the last state of jobs that the caller has just taken out of the hot tables, with their events.';

CREATE TYPE millrace.ended_attempt AS (
    job_id bigint, run_token bigint, worker_id uuid, claimed_at timestamptz, attempt smallint, outcome text, state text,
    result jsonb, error jsonb, usage jsonb, delay double precision
);
COMMENT ON TYPE millrace.ended_attempt IS 'An attempt whose lease was just taken away, and the state that its job goes to.';

-- The rule of what follows an attempt; JobModel.Transition is the same rule in Swift.
CREATE FUNCTION millrace.state_after(outcome text, cancel_requested boolean, attempt smallint, max_attempts smallint, delay double precision)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN outcome IN ('succeeded', 'failed', 'cancelled') THEN outcome
        WHEN cancel_requested THEN 'cancelled'
        WHEN outcome = 'released' THEN 'ready'
        WHEN attempt >= max_attempts THEN 'failed'
        WHEN delay > 0 THEN 'scheduled'
        ELSE 'ready'
    END
$$;
COMMENT ON FUNCTION millrace.state_after IS 'State after an attempt that ended as succeeded, failed, cancelled, retry, lost or released.';

CREATE FUNCTION millrace.settle(ended millrace.ended_attempt[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    woken text[];
BEGIN
    INSERT INTO millrace.attempts (job_id, attempt, run_token, worker_id, started_at, outcome, error)
    SELECT e.job_id, e.attempt, e.run_token, e.worker_id, e.claimed_at,
           CASE WHEN e.outcome = 'retry' AND e.state <> 'failed' THEN 'retried' WHEN e.outcome = 'retry' THEN 'failed' ELSE e.outcome END, e.error
    FROM unnest(ended) e WHERE e.outcome IN ('retry', 'failed', 'lost', 'released');

    IF EXISTS (SELECT FROM unnest(ended) e WHERE e.state NOT IN ('ready', 'scheduled')) THEN
        PERFORM millrace.end_jobs(array_agg(e.job_id), array_agg(e.state), array_agg(e.result), array_agg(e.error), array_agg(e.usage))
        FROM unnest(ended) e WHERE e.state NOT IN ('ready', 'scheduled');
    END IF;

    IF EXISTS (SELECT FROM unnest(ended) e WHERE e.state IN ('ready', 'scheduled')) THEN
        UPDATE millrace.jobs j
        SET state = e.state, error = coalesce(e.error, j.error),
            attempt = CASE WHEN e.outcome = 'released' THEN j.attempt - 1 ELSE j.attempt END
        FROM unnest(ended) e WHERE j.id = e.job_id AND e.state IN ('ready', 'scheduled');
        INSERT INTO millrace.scheduled (job_id, run_at)
        SELECT e.job_id, clock_timestamp() + make_interval(secs => e.delay) FROM unnest(ended) e WHERE e.state = 'scheduled';
        INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at)
        SELECT j.id, j.queue, j.kind, j.model, j.priority, j.run_at
        FROM unnest(ended) e JOIN millrace.jobs j ON j.id = e.job_id WHERE e.state = 'ready';
        SELECT array_agg(DISTINCT j.queue) INTO woken
        FROM unnest(ended) e JOIN millrace.jobs j ON j.id = e.job_id WHERE e.state = 'ready';
        IF woken IS NOT NULL THEN PERFORM millrace.notify_ready(woken); END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION millrace.settle IS 'Moves the jobs of ended attempts to their next state, with history, event and wake-up.';

-- One transaction for many jobs. A stale attempt (its lease is gone or belongs to another one) changes nothing and is
-- missing in the answer.
CREATE FUNCTION millrace.complete(ids bigint[], tokens bigint[], outcomes text[], results jsonb[], errors jsonb[],
                                  usages jsonb[], delays double precision[])
RETURNS TABLE (job_id bigint, state text) LANGUAGE plpgsql SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    ended millrace.ended_attempt[];
BEGIN
    WITH given AS (
        SELECT * FROM unnest(ids, tokens, outcomes, results, errors, usages, delays)
            AS g(job_id, run_token, outcome, result, error, usage, delay)
    ), held AS (
        DELETE FROM millrace.leases l USING given g WHERE l.job_id = g.job_id AND l.run_token = g.run_token
        RETURNING g.*, l.worker_id, l.claimed_at, l.cancel_requested
    )
    SELECT array_agg(ROW(h.job_id, h.run_token, h.worker_id, h.claimed_at, j.attempt, h.outcome,
               millrace.state_after(h.outcome, h.cancel_requested, j.attempt, j.max_attempts, h.delay),
               h.result, h.error, h.usage, h.delay)::millrace.ended_attempt)
    INTO ended FROM held h JOIN millrace.jobs j ON j.id = h.job_id;
    IF ended IS NULL THEN RETURN; END IF;
    PERFORM millrace.settle(ended);
    RETURN QUERY SELECT e.job_id, e.state FROM unnest(ended) e;
END
$$;
COMMENT ON FUNCTION millrace.complete IS 'Ends attempts as succeeded, failed, cancelled, retry or released; answers with those that were still held.';

-- Answers for each job that is still held whether a client wants it stopped; a job missing in the answer is to be dropped.
CREATE FUNCTION millrace.report_progress(ids bigint[], tokens bigint[], progress jsonb[])
RETURNS TABLE (job_id bigint, cancel_requested boolean) LANGUAGE sql SET search_path = pg_catalog AS $$
    WITH held AS (
        SELECT l.job_id, l.run_token, l.cancel_requested, g.progress
        FROM unnest(ids, tokens, progress) AS g(job_id, run_token, progress)
        JOIN millrace.leases l ON l.job_id = g.job_id AND l.run_token = g.run_token
        FOR SHARE OF l
    ), written AS (
        INSERT INTO millrace.partials (job_id, run_token, progress)
        SELECT held.job_id, held.run_token, held.progress FROM held
        ON CONFLICT (job_id) DO UPDATE
        SET run_token = EXCLUDED.run_token, progress = EXCLUDED.progress, updated_at = clock_timestamp()
    )
    SELECT held.job_id, held.cancel_requested FROM held
$$;
COMMENT ON FUNCTION millrace.report_progress IS 'Stores what running jobs have so far.';

-- Bounded: at most that many leases per call, so that a tick is never long. Workers that claim at this moment are skipped.
CREATE FUNCTION millrace.rescue(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    dead uuid[];
    ended millrace.ended_attempt[];
BEGIN
    SELECT array_agg(silent.id) INTO dead FROM (
        SELECT id FROM millrace.workers WHERE lost OR beat_at < clock_timestamp() - millrace.worker_timeout()
        FOR UPDATE SKIP LOCKED) AS silent;
    IF dead IS NULL THEN RETURN 0; END IF;
    UPDATE millrace.workers SET lost = true WHERE id = ANY (dead) AND NOT lost;
    WITH held AS (
        DELETE FROM millrace.leases l
        WHERE l.job_id = ANY (ARRAY(SELECT job_id FROM millrace.leases WHERE worker_id = ANY (dead) ORDER BY job_id LIMIT maximum FOR UPDATE))
        RETURNING l.*
    )
    SELECT array_agg(ROW(h.job_id, h.run_token, h.worker_id, h.claimed_at, j.attempt, 'lost',
               millrace.state_after('lost', h.cancel_requested, j.attempt, j.max_attempts, 0),
               NULL, jsonb_build_object('code', 'worker_lost', 'message', 'the worker that ran the job died'), NULL, 0)::millrace.ended_attempt)
    INTO ended FROM held h JOIN millrace.jobs j ON j.id = h.job_id;
    -- Without a row a worker is as dead as with one that says lost.
    DELETE FROM millrace.workers w
    WHERE w.id = ANY (dead) AND NOT EXISTS (SELECT FROM millrace.leases l WHERE l.worker_id = w.id);
    IF ended IS NULL THEN RETURN 0; END IF;
    PERFORM millrace.settle(ended);
    RETURN cardinality(ended);
END
$$;
COMMENT ON FUNCTION millrace.rescue IS 'Takes the jobs of dead workers back; answers how many.';

-- The answer to a claim can be lost on its way: the worker lives, so nobody would ever rescue these leases.
CREATE FUNCTION millrace.hand_back_unknown(worker uuid, known bigint[])
RETURNS SETOF bigint LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    ended millrace.ended_attempt[];
BEGIN
    -- The claim itself may still be under way.
    PERFORM FROM millrace.workers WHERE id = worker FOR UPDATE;
    WITH held AS (
        DELETE FROM millrace.leases l WHERE l.worker_id = worker AND l.run_token <> ALL (known) RETURNING l.*
    )
    SELECT array_agg(ROW(h.job_id, h.run_token, h.worker_id, h.claimed_at, j.attempt, 'released',
               millrace.state_after('released', h.cancel_requested, j.attempt, j.max_attempts, 0),
               NULL, NULL, NULL, 0)::millrace.ended_attempt)
    INTO ended FROM held h JOIN millrace.jobs j ON j.id = h.job_id;
    IF ended IS NULL THEN RETURN; END IF;
    PERFORM millrace.settle(ended);
    RETURN QUERY SELECT e.job_id FROM unnest(ended) e;
END
$$;
COMMENT ON FUNCTION millrace.hand_back_unknown IS 'Hands back, attempt refunded, what this worker holds beside the attempts that it knows of; answers with the jobs.';

CREATE FUNCTION millrace.promote(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    due bigint[];
BEGIN
    WITH picked AS MATERIALIZED (
        SELECT job_id FROM millrace.scheduled WHERE run_at <= clock_timestamp()
        ORDER BY run_at, job_id LIMIT maximum FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM millrace.scheduled s WHERE s.job_id = ANY (ARRAY(SELECT job_id FROM picked)) RETURNING s.job_id
    )
    SELECT array_agg(job_id) INTO due FROM taken;
    IF due IS NULL THEN RETURN 0; END IF;
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at)
    SELECT id, queue, kind, model, priority, run_at FROM millrace.jobs WHERE id = ANY (due);
    UPDATE millrace.jobs SET state = 'ready' WHERE id = ANY (due);
    PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM millrace.jobs WHERE id = ANY (due);
    RETURN cardinality(due);
END
$$;
COMMENT ON FUNCTION millrace.promote IS 'Puts jobs whose time has come in line; answers how many.';

-- A job that has once begun is left alone, also when it waits for another attempt.
CREATE FUNCTION millrace.expire(maximum integer)
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
COMMENT ON FUNCTION millrace.expire IS 'Ends jobs whose deadline passed before they began; answers how many.';

-- A worker that ends in order leaves nothing behind; if it still holds leases, rescue takes them at once.
CREATE FUNCTION millrace.unregister_worker(worker uuid)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- A claim of this worker that is still under way is waited for.
    PERFORM FROM millrace.workers WHERE id = worker FOR UPDATE;
    IF EXISTS (SELECT FROM millrace.leases WHERE worker_id = worker) THEN
        UPDATE millrace.workers SET lost = true WHERE id = worker;
    ELSE
        DELETE FROM millrace.workers WHERE id = worker;
    END IF;
END
$$;
COMMENT ON FUNCTION millrace.unregister_worker IS 'A worker''s last word.';
