-- What follows an attempt that brought no result, and whose turn is next: retry policies, snoozing, jobs that kill their
-- workers, dead letters, and priorities that age.

ALTER TABLE millrace.jobs
    ADD COLUMN retry_policy text NOT NULL DEFAULT 'exponential' CHECK (retry_policy IN ('exponential', 'fixed', 'none')),
    ADD COLUMN retry_delay real CHECK (retry_delay BETWEEN 0 AND 2592000),
    ADD COLUMN max_worker_deaths smallint NOT NULL DEFAULT 3 CHECK (max_worker_deaths BETWEEN 1 AND 1000),
    ADD COLUMN failures smallint NOT NULL DEFAULT 0,
    ADD COLUMN worker_deaths smallint NOT NULL DEFAULT 0;
UPDATE millrace.jobs j SET failures = (SELECT count(*) FROM millrace.attempts a WHERE a.job_id = j.id AND a.outcome = 'retried')
WHERE state IN ('ready', 'scheduled', 'running') AND attempt > 0;
COMMENT ON COLUMN millrace.jobs.retry_policy IS 'How long the wait between attempts is: exponential (doubling, up to ten minutes, spread), fixed, or none: the first failure is final.';
COMMENT ON COLUMN millrace.jobs.retry_delay IS 'Seconds of the first wait, or of each for fixed; NULL is 2.';
COMMENT ON COLUMN millrace.jobs.max_worker_deaths IS 'So many workers may die of the job; then it fails with code poison.';
COMMENT ON COLUMN millrace.jobs.failures IS 'Attempts that failed and were followed by another one.';
COMMENT ON COLUMN millrace.jobs.worker_deaths IS 'Workers that died while they ran it, and nothing else was to blame.';
COMMENT ON COLUMN millrace.jobs.max_attempts IS 'The job fails with its so-manieth failure; neither a worker''s death nor an orderly hand-back is one.';
COMMENT ON COLUMN millrace.jobs.priority IS 'Lower is sooner, -100 to 100; each step is worth a wait of millrace.queues.priority_step.';
COMMENT ON COLUMN millrace.attempts.outcome IS 'retried, failed, lost (its worker died) or released (handed back); only the first two count as failures.';
GRANT INSERT (retry_policy, retry_delay, max_worker_deaths) ON millrace.jobs TO millrace_client;

-- Ageing as a fixed place in time: the order of two jobs never changes while they wait, so the line stays one index that
-- is read in its order, and nothing has to be recomputed as time goes by.
ALTER TABLE millrace.queues
    ADD COLUMN priority_step interval NOT NULL DEFAULT '10 minutes'
        CHECK (priority_step BETWEEN '0' AND '100 days'),
    ADD CHECK (queue ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$');
COMMENT ON COLUMN millrace.queues.priority_step IS 'A job of the next lower priority goes first unless it came so much later: 0 is first come, first served; 100 days is priority alone.';

ALTER TABLE millrace.ready
    ADD COLUMN place timestamptz,
    ADD COLUMN suspect boolean NOT NULL DEFAULT false;
UPDATE millrace.ready r SET place = r.run_at + r.priority * q.priority_step FROM millrace.queues q WHERE q.queue = r.queue;
ALTER TABLE millrace.ready ALTER COLUMN place SET NOT NULL;
COMMENT ON COLUMN millrace.ready.run_at IS 'Since when the job may run.';
COMMENT ON COLUMN millrace.ready.place IS 'Its place in the line: run_at, put off or brought forward by its priority.';
COMMENT ON COLUMN millrace.ready.suspect IS 'One more death of a worker convicts it: no worker runs two of these at a time, so that this death has one culprit.';
DROP INDEX millrace.ready_claim;
-- Columns of the claim's ORDER BY, after the lane that it fixes: one ordered index scan per lane, no sort.
CREATE INDEX ready_claim ON millrace.ready (queue, kind, model, place, job_id) WHERE NOT suspect;
CREATE INDEX ready_suspects ON millrace.ready (queue, kind, model, place, job_id) WHERE suspect;
ALTER TABLE millrace.leases ADD COLUMN suspect boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN millrace.leases.suspect IS 'As millrace.ready.suspect.';
CREATE INDEX leases_suspects ON millrace.leases (worker_id) WHERE suspect;

CREATE TABLE millrace.dead_letters (
    job_id    bigint PRIMARY KEY,
    queue     text NOT NULL,
    kind      text NOT NULL,
    code      text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE millrace.dead_letters IS 'One row per failed job, so that finding and redriving them does not walk over all jobs.';
COMMENT ON COLUMN millrace.dead_letters.job_id IS 'The job.';
COMMENT ON COLUMN millrace.dead_letters.queue IS 'Copied from the job.';
COMMENT ON COLUMN millrace.dead_letters.kind IS 'Copied from the job.';
COMMENT ON COLUMN millrace.dead_letters.code IS 'Code of its error.';
COMMENT ON COLUMN millrace.dead_letters.failed_at IS 'When it failed.';
INSERT INTO millrace.dead_letters
SELECT id, queue, kind, coalesce(error ->> 'code', ''), finished_at FROM millrace.jobs WHERE state = 'failed';
GRANT SELECT ON millrace.dead_letters TO millrace_client;
GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.dead_letters TO millrace_worker, millrace_admin;
ALTER TABLE millrace.dead_letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_dead_letters ON millrace.dead_letters FOR SELECT TO millrace_client
    USING (EXISTS (SELECT FROM millrace.jobs j WHERE j.id = job_id));
CREATE POLICY all_dead_letters ON millrace.dead_letters TO millrace_worker, millrace_admin USING (true) WITH CHECK (true);

-- Hot tables are empty at one moment and full at the next, so what was last learnt of their contents may be wrong by
-- any factor: the functions below are told to go by their indexes, and to join what these gave them by hashes, which is right
-- for all contents.

-- Where jobs enter the line; those of an INSERT do it in after_insert, from the rows at hand.
CREATE FUNCTION millrace.put_in_line(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off AS $$
BEGIN
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at, place, suspect)
    SELECT j.id, j.queue, j.kind, j.model, j.priority, j.run_at, j.run_at + j.priority * q.priority_step,
           j.worker_deaths >= j.max_worker_deaths - 1
    FROM millrace.jobs j JOIN millrace.queues q ON q.queue = j.queue WHERE j.id = ANY (ids);
    PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM millrace.jobs WHERE id = ANY (ids) HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION millrace.put_in_line IS 'Makes jobs claimable and wakes the workers of their queues.';

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
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at, place, suspect)
    SELECT i.id, i.queue, i.kind, i.model, i.priority, i.run_at, i.run_at + i.priority * q.priority_step, i.max_worker_deaths = 1
    FROM inserted i JOIN millrace.queues q ON q.queue = i.queue WHERE i.run_at <= now();
    -- Jobs for later wake nobody now.
    PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM inserted WHERE run_at <= now() HAVING count(*) > 0;
    RETURN NULL;
END
$$;

-- The lane fixes (queue, kind, model), so each LATERAL is one ordered scan of its index that stops after the rows it
-- needs. MATERIALIZED is the fence: without it the planner may run the locking scan more than once and take more rows.
DROP FUNCTION millrace.claim(uuid, text[], text[], text[], integer);
CREATE FUNCTION millrace.claim(worker uuid, queues text[], kinds text[], models text[], maximum integer)
RETURNS TABLE (job_id bigint, run_token bigint, kind text, model text, input jsonb, queue text, priority smallint,
               attempt smallint, max_attempts smallint, tenant text, created_at double precision, progress jsonb,
               retry_policy text, retry_delay real, failures smallint)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off AS $$
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
    ), trusted AS MATERIALIZED (
        SELECT r.job_id, r.place
        FROM lane CROSS JOIN LATERAL (
            SELECT r.job_id, r.place
            FROM millrace.ready r
            WHERE r.queue = lane.queue AND r.kind = lane.kind AND r.model = lane.model AND NOT r.suspect
            ORDER BY r.place, r.job_id
            LIMIT maximum
            FOR UPDATE SKIP LOCKED
        ) r
        ORDER BY r.place, r.job_id
        LIMIT maximum
    ), suspect AS MATERIALIZED (
        SELECT r.job_id, r.place
        FROM lane CROSS JOIN LATERAL (
            SELECT r.job_id, r.place
            FROM millrace.ready r
            WHERE r.queue = lane.queue AND r.kind = lane.kind AND r.model = lane.model AND r.suspect
            ORDER BY r.place, r.job_id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ) r
        WHERE NOT EXISTS (SELECT FROM millrace.leases l WHERE l.worker_id = worker AND l.suspect)
        ORDER BY r.place, r.job_id
        LIMIT 1
    ), picked AS (
        SELECT * FROM (SELECT * FROM trusted UNION ALL SELECT * FROM suspect) AS both_sorts
        ORDER BY both_sorts.place, both_sorts.job_id LIMIT maximum
    ), taken AS (
        DELETE FROM millrace.ready r WHERE r.job_id = ANY (ARRAY(SELECT p.job_id FROM picked p))
        RETURNING r.job_id, r.place, r.suspect
    ), leased AS (
        INSERT INTO millrace.leases (job_id, run_token, worker_id, suspect)
        -- In the order of the line: so the tokens carry it, and nothing has to be joined for it.
        SELECT t.job_id, nextval('millrace.run_tokens'), worker, t.suspect
        FROM (SELECT * FROM taken ORDER BY place, job_id) AS t
        RETURNING job_id, run_token
    ), started AS (
        UPDATE millrace.jobs j SET state = 'running', attempt = least(j.attempt + 1, 32767), started_at = clock_timestamp()
        WHERE j.id = ANY (ARRAY(SELECT t.job_id FROM taken t))
        RETURNING j.*
    )
    SELECT s.id, l.run_token, s.kind, s.model, s.input, s.queue, s.priority, s.attempt, s.max_attempts, s.tenant,
           extract(epoch FROM s.created_at)::float8, (SELECT p.progress FROM millrace.partials p WHERE p.job_id = s.id),
           s.retry_policy, s.retry_delay, s.failures
    FROM started s JOIN leased l ON l.job_id = s.id
    ORDER BY l.run_token;
END
$$;
COMMENT ON FUNCTION millrace.claim IS 'Claims up to maximum jobs of these queues, kinds and models for the worker, at most one suspect among all that it holds; each gets a new run_token.';

-- The one place where a job ends: state, result, keys and the event change together or not at all.
CREATE OR REPLACE FUNCTION millrace.end_jobs(ids bigint[], new_states text[], results jsonb[], errors jsonb[], usages jsonb[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off AS $$
BEGIN
    WITH ended AS (
        UPDATE millrace.jobs j
        SET state = g.state, result = g.result, error = coalesce(g.error, CASE WHEN g.state <> 'succeeded' THEN j.error END),
            usage = coalesce(g.usage, j.usage), finished_at = clock_timestamp()
        FROM unnest(ids, new_states, results, errors, usages) AS g(id, state, result, error, usage)
        WHERE j.id = g.id AND j.id = ANY (ids)
        RETURNING j AS job
    )
    INSERT INTO millrace.outbox (job_id, event)
    SELECT (job).id, millrace.event(job) FROM ended ORDER BY (job).id;
    DELETE FROM millrace.partials WHERE job_id = ANY (ids);
    DELETE FROM millrace.unique_keys WHERE job_id = ANY (ids);
    DELETE FROM millrace.deadlines WHERE job_id = ANY (ids);
    IF 'failed' = ANY (new_states) THEN
        INSERT INTO millrace.dead_letters (job_id, queue, kind, code)
        SELECT id, queue, kind, coalesce(error ->> 'code', '') FROM millrace.jobs WHERE id = ANY (ids) AND state = 'failed';
    END IF;
    PERFORM pg_notify('millrace_outbox', '');
END
$$;

-- The rule of what follows an attempt; JobModel.Transition is the same rule in Swift.
DROP FUNCTION millrace.state_after(text, boolean, smallint, smallint, double precision);
CREATE FUNCTION millrace.state_after(outcome text, cancel_requested boolean, delay double precision, job millrace.jobs)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN outcome IN ('succeeded', 'failed', 'cancelled') THEN outcome
        WHEN cancel_requested THEN 'cancelled'
        WHEN outcome = 'lost' AND (job).worker_deaths >= (job).max_worker_deaths THEN 'failed'
        WHEN outcome = 'retry' AND ((job).retry_policy = 'none' OR (job).failures + 1 >= (job).max_attempts) THEN 'failed'
        WHEN delay > 0 THEN 'scheduled'
        ELSE 'ready'
    END
$$;
COMMENT ON FUNCTION millrace.state_after IS 'State of a job after an attempt that ended as succeeded, failed, cancelled, retry, lost or released, and the wait in seconds before the next one.';

CREATE OR REPLACE FUNCTION millrace.settle(ended millrace.ended_attempt[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off AS $$
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
            attempt = CASE WHEN e.outcome = 'released' THEN j.attempt - 1 ELSE j.attempt END,
            failures = CASE WHEN e.outcome = 'retry' THEN j.failures + 1 ELSE j.failures END
        FROM unnest(ended) e
        WHERE j.id = e.job_id AND j.id = ANY (ARRAY(SELECT job_id FROM unnest(ended))) AND e.state IN ('ready', 'scheduled');
        INSERT INTO millrace.scheduled (job_id, run_at)
        SELECT e.job_id, clock_timestamp() + make_interval(secs => e.delay) FROM unnest(ended) e WHERE e.state = 'scheduled';
        PERFORM millrace.put_in_line(array_agg(e.job_id)) FROM unnest(ended) e WHERE e.state = 'ready' HAVING count(*) > 0;
    END IF;
END
$$;

-- One transaction for many jobs. A stale attempt (its lease is gone or belongs to another one) changes nothing and is
-- missing in the answer.
CREATE OR REPLACE FUNCTION millrace.complete(ids bigint[], tokens bigint[], outcomes text[], results jsonb[], errors jsonb[],
                                             usages jsonb[], delays double precision[])
RETURNS TABLE (job_id bigint, state text) LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ended millrace.ended_attempt[];
BEGIN
    -- LIMIT keeps each part apart: one look into an index for each attempt, whatever the planner believes to find.
    WITH given AS (
        SELECT DISTINCT ON (g.job_id, g.run_token) g.*
        FROM unnest(ids, tokens, outcomes, results, errors, usages, delays)
            WITH ORDINALITY AS g(job_id, run_token, outcome, result, error, usage, delay, place)
        ORDER BY g.job_id, g.run_token, g.place
    ), held AS MATERIALIZED (
        SELECT g.*, l.worker_id, l.claimed_at, l.cancel_requested
        FROM given g CROSS JOIN LATERAL (
            SELECT l.worker_id, l.claimed_at, l.cancel_requested
            FROM millrace.leases l WHERE l.job_id = g.job_id AND l.run_token = g.run_token LIMIT 1 FOR UPDATE) l
    ), gone AS (
        DELETE FROM millrace.leases l WHERE l.job_id = ANY (ARRAY(SELECT h.job_id FROM held h))
    )
    SELECT array_agg(ROW(h.job_id, h.run_token, h.worker_id, h.claimed_at, (j.job).attempt, h.outcome,
               millrace.state_after(h.outcome, h.cancel_requested, h.delay, j.job), h.result, h.error, h.usage, h.delay)::millrace.ended_attempt)
    INTO ended
    FROM held h CROSS JOIN LATERAL (SELECT j AS job FROM millrace.jobs j WHERE j.id = h.job_id LIMIT 1) j;
    IF ended IS NULL THEN RETURN; END IF;
    PERFORM millrace.settle(ended);
    RETURN QUERY SELECT e.job_id, e.state FROM unnest(ended) e;
END
$$;

-- Bounded: at most that many leases per call, so that a tick is never long. Workers that claim at this moment are skipped.
-- All that a dead worker held are to blame for its death, unless there was a suspect among them: then it alone is. Suspects
-- are taken last, so that they are still seen when there are more leases than one call takes.
CREATE OR REPLACE FUNCTION millrace.rescue(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    dead uuid[];
    ended millrace.ended_attempt[];
BEGIN
    SELECT array_agg(silent.id) INTO dead FROM (SELECT id FROM millrace.workers
        WHERE lost OR beat_at < clock_timestamp() - millrace.worker_timeout() FOR UPDATE SKIP LOCKED) AS silent;
    IF dead IS NULL THEN RETURN 0; END IF;
    UPDATE millrace.workers SET lost = true WHERE id = ANY (dead) AND NOT lost;
    WITH held AS (
        DELETE FROM millrace.leases l
        WHERE l.job_id = ANY (ARRAY(SELECT job_id FROM millrace.leases WHERE worker_id = ANY (dead) ORDER BY suspect, job_id LIMIT maximum FOR UPDATE))
        RETURNING l.*, l.suspect OR NOT EXISTS (SELECT FROM millrace.leases o WHERE o.worker_id = l.worker_id AND o.suspect) AS is_blamed
    ), blamed AS (
        UPDATE millrace.jobs j SET worker_deaths = j.worker_deaths + h.is_blamed::int FROM held h WHERE j.id = h.job_id
        RETURNING j AS job, h.run_token, h.worker_id, h.claimed_at, millrace.state_after('lost', h.cancel_requested, 0, j) AS state
    )
    SELECT array_agg(ROW((b.job).id, b.run_token, b.worker_id, b.claimed_at, (b.job).attempt, 'lost', b.state, NULL,
               CASE WHEN b.state = 'failed'
                   THEN jsonb_build_object('code', 'poison', 'message', format('%s workers died while they ran the job', (b.job).worker_deaths))
                   ELSE jsonb_build_object('code', 'worker_lost', 'message', 'the worker that ran the job died') END,
               NULL, 0)::millrace.ended_attempt)
    INTO ended FROM blamed b;
    -- Without a row a worker is as dead as with one that says lost.
    DELETE FROM millrace.workers w
    WHERE w.id = ANY (dead) AND NOT EXISTS (SELECT FROM millrace.leases l WHERE l.worker_id = w.id);
    IF ended IS NULL THEN RETURN 0; END IF;
    PERFORM millrace.settle(ended);
    RETURN cardinality(ended);
END
$$;

-- The answer to a claim can be lost on its way: the worker lives, so nobody would ever rescue these leases.
CREATE OR REPLACE FUNCTION millrace.hand_back_unknown(worker uuid, known bigint[])
RETURNS SETOF bigint LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE ended millrace.ended_attempt[];
BEGIN
    -- The claim itself may still be under way.
    PERFORM FROM millrace.workers WHERE id = worker FOR UPDATE;
    WITH held AS (
        DELETE FROM millrace.leases l WHERE l.worker_id = worker AND l.run_token <> ALL (known) RETURNING l.*
    )
    SELECT array_agg(ROW(h.job_id, h.run_token, h.worker_id, h.claimed_at, j.attempt, 'released',
               millrace.state_after('released', h.cancel_requested, 0, j), NULL, NULL, NULL, 0)::millrace.ended_attempt)
    INTO ended FROM held h JOIN millrace.jobs j ON j.id = h.job_id;
    IF ended IS NULL THEN RETURN; END IF;
    PERFORM millrace.settle(ended);
    RETURN QUERY SELECT e.job_id FROM unnest(ended) e;
END
$$;

CREATE OR REPLACE FUNCTION millrace.promote(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
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
    UPDATE millrace.jobs SET state = 'ready' WHERE id = ANY (due);
    PERFORM millrace.put_in_line(due);
    RETURN cardinality(due);
END
$$;

-- Ended jobs that may begin anew; those whose key another job has meanwhile stay where they are.
CREATE FUNCTION millrace.begin_anew(ids bigint[])
RETURNS bigint[] LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    anew bigint[];
BEGIN
    INSERT INTO millrace.unique_keys (kind, unique_key, job_id)
    SELECT kind, unique_key, id FROM millrace.jobs WHERE id = ANY (ids) AND unique_key IS NOT NULL ORDER BY id
    ON CONFLICT DO NOTHING;
    WITH changed AS (
        UPDATE millrace.jobs j
        SET state = 'ready', result = NULL, usage = NULL, finished_at = NULL, deadline = NULL, run_at = now(),
            failures = 0, worker_deaths = 0
        WHERE id = ANY (ids) AND (unique_key IS NULL OR EXISTS (SELECT FROM millrace.unique_keys k WHERE k.job_id = j.id))
        RETURNING id
    )
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO anew FROM changed;
    DELETE FROM millrace.dead_letters WHERE job_id = ANY (anew);
    PERFORM millrace.put_in_line(anew);
    RETURN anew;
END
$$;
COMMENT ON FUNCTION millrace.begin_anew IS 'Puts ended jobs in line again, without the deadline, the failures and the deaths of before; answers which.';

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
    IF millrace.begin_anew(ARRAY[job]) = '{}' THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = 'unique_key',
            MESSAGE = 'unique_key: an unfinished job of this kind has the same key';
    END IF;
    RETURN 'ready';
END
$$;

-- NULL filters nothing. Many calls of a bounded size, so that no transaction is long.
CREATE FUNCTION millrace.redrive(only_queue text, only_kind text, only_code text, since timestamptz, after bigint, maximum integer,
                                 OUT seen integer, OUT last_id bigint, OUT redriven bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    found_ids bigint[];
BEGIN
    SELECT array_agg(d.job_id) INTO found_ids FROM (
        SELECT d.job_id FROM millrace.dead_letters d JOIN millrace.jobs j ON j.id = d.job_id
        WHERE d.job_id > after AND (only_queue IS NULL OR d.queue = only_queue) AND (only_kind IS NULL OR d.kind = only_kind)
          AND (only_code IS NULL OR d.code = only_code) AND (since IS NULL OR d.failed_at >= since)
          AND (j.submitted_by = session_user OR pg_has_role(session_user, 'millrace_admin', 'MEMBER'))
        ORDER BY d.job_id LIMIT maximum FOR UPDATE OF d, j SKIP LOCKED) AS d;
    seen := coalesce(cardinality(found_ids), 0);
    last_id := found_ids[seen];
    redriven := CASE WHEN seen = 0 THEN '{}' ELSE millrace.begin_anew(found_ids) END;
END
$$;
COMMENT ON FUNCTION millrace.redrive IS 'Puts up to maximum failed jobs with ids above after in line again; answers how many it looked at, the last of them, and those it put in line: the others'' keys are taken.';

REVOKE ALL ON FUNCTION millrace.put_in_line(bigint[]), millrace.begin_anew(bigint[]), millrace.claim(uuid, text[], text[], text[], integer),
    millrace.state_after(text, boolean, double precision, millrace.jobs), millrace.redrive(text, text, text, timestamptz, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.put_in_line(bigint[]), millrace.begin_anew(bigint[]), millrace.claim(uuid, text[], text[], text[], integer),
    millrace.state_after(text, boolean, double precision, millrace.jobs) TO millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.redrive(text, text, text, timestamptz, bigint, integer) TO millrace_client, millrace_admin, millrace_worker;
