DROP FUNCTION millrace.redrive(text, text, text, timestamptz, bigint, integer);
DROP FUNCTION millrace.claim(uuid, text[], text[], text[], integer);
DROP FUNCTION millrace.state_after(text, boolean, double precision, millrace.jobs);

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
REVOKE ALL ON FUNCTION millrace.claim(uuid, text[], text[], text[], integer),
    millrace.state_after(text, boolean, smallint, smallint, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.claim(uuid, text[], text[], text[], integer),
    millrace.state_after(text, boolean, smallint, smallint, double precision) TO millrace_worker, millrace_admin;

CREATE OR REPLACE FUNCTION millrace.end_jobs(ids bigint[], new_states text[], results jsonb[], errors jsonb[], usages jsonb[])
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

CREATE OR REPLACE FUNCTION millrace.settle(ended millrace.ended_attempt[])
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

CREATE OR REPLACE FUNCTION millrace.complete(ids bigint[], tokens bigint[], outcomes text[], results jsonb[], errors jsonb[],
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

CREATE OR REPLACE FUNCTION millrace.rescue(maximum integer)
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

CREATE OR REPLACE FUNCTION millrace.hand_back_unknown(worker uuid, known bigint[])
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

CREATE OR REPLACE FUNCTION millrace.promote(maximum integer)
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

CREATE OR REPLACE FUNCTION millrace.after_insert()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    bad record;
    arrived text[];
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
               OR usage IS NOT NULL OR started_at IS NOT NULL OR finished_at IS NOT NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = 'millrace', TABLE = 'jobs',
            MESSAGE = 'state: state, attempt, result, error, usage, started_at and finished_at are set by Millrace, not by INSERT';
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
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at)
    SELECT id, queue, kind, model, priority, run_at FROM inserted WHERE run_at <= now();

    SELECT array_agg(DISTINCT queue) INTO arrived FROM inserted;
    IF arrived IS NOT NULL THEN
        INSERT INTO millrace.queues (queue) SELECT unnest(arrived) EXCEPT SELECT queue FROM millrace.queues
        ON CONFLICT DO NOTHING;
        -- Jobs for later wake nobody now.
        PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM inserted WHERE run_at <= now() HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION millrace.retry(job bigint)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    found_job millrace.jobs;
BEGIN
    SELECT * INTO found_job FROM millrace.jobs WHERE id = job FOR UPDATE;
    IF found_job.id IS NULL OR NOT (found_job.submitted_by = session_user OR pg_has_role(session_user, 'millrace_admin', 'MEMBER')) THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('id: there is no job %s', job);
    END IF;
    IF found_job.state NOT IN ('failed', 'cancelled', 'expired') THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('id: job %s is %s; only failed, cancelled and expired jobs are tried again', job, found_job.state);
    END IF;
    IF found_job.unique_key IS NOT NULL THEN
        BEGIN
            INSERT INTO millrace.unique_keys (kind, unique_key, job_id) VALUES (found_job.kind, found_job.unique_key, job);
        EXCEPTION WHEN unique_violation THEN
            RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = 'unique_key',
                MESSAGE = 'unique_key: an unfinished job of this kind has the same key', DETAIL = SQLERRM;
        END;
    END IF;
    UPDATE millrace.jobs
    SET state = 'ready', result = NULL, usage = NULL, finished_at = NULL, deadline = NULL, run_at = now(),
        max_attempts = greatest(max_attempts, attempt + 1)
    WHERE id = job;
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at)
    SELECT id, queue, kind, model, priority, run_at FROM millrace.jobs WHERE id = job;
    PERFORM millrace.notify_ready(ARRAY[found_job.queue]);
    RETURN 'ready';
END
$$;

DROP FUNCTION millrace.begin_anew(bigint[]);
DROP FUNCTION millrace.put_in_line(bigint[]);
DROP TABLE millrace.dead_letters;
DROP INDEX millrace.leases_suspects, millrace.ready_suspects, millrace.ready_claim;
ALTER TABLE millrace.leases DROP COLUMN suspect;
ALTER TABLE millrace.ready DROP COLUMN suspect, DROP COLUMN place;
CREATE INDEX ready_claim ON millrace.ready (queue, kind, model, priority, run_at, job_id);
ALTER TABLE millrace.queues DROP COLUMN priority_step, DROP CONSTRAINT queues_queue_check;
ALTER TABLE millrace.jobs DROP COLUMN worker_deaths, DROP COLUMN failures, DROP COLUMN max_worker_deaths, DROP COLUMN retry_delay, DROP COLUMN retry_policy;
COMMENT ON COLUMN millrace.jobs.max_attempts IS 'Attempts at most; a worker''s death costs one, an orderly hand-back none.';
COMMENT ON COLUMN millrace.jobs.priority IS 'Lower is sooner, -100 to 100.';
COMMENT ON COLUMN millrace.attempts.outcome IS 'retried, failed, lost (its worker died) or released (handed back, not counted).';
COMMENT ON COLUMN millrace.ready.run_at IS 'Since when the job may run: its place in the line.';
