-- What a job costs the database from its claim to its end. Much of it was spent on new
-- versions of a row that found no room on its page, on events written out in full, and on locking leases before deleting them.

-- A claim changes all rows of a page at once, and finds room on it for each: so no index is touched.
ALTER TABLE millrace.jobs SET (fillfactor = 50);

-- Events say what changed; the rest is read from the job when it is told.
CREATE TABLE millrace.events (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      bigint NOT NULL,
    finished_at timestamptz NOT NULL,
    attempt     smallint NOT NULL,
    state       text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE millrace.events IS 'Ends of jobs that are to be published, written in the transaction that they tell of; read and deleted through millrace.outbox.';
COMMENT ON COLUMN millrace.events.seq IS 'Number of the event; for one job it only grows.';
COMMENT ON COLUMN millrace.events.job_id IS 'The job.';
COMMENT ON COLUMN millrace.events.finished_at IS 'As millrace.jobs.finished_at at the time.';
COMMENT ON COLUMN millrace.events.attempt IS 'As millrace.jobs.attempt at the time.';
COMMENT ON COLUMN millrace.events.state IS 'The state that the job reached.';
INSERT INTO millrace.events (seq, job_id, finished_at, attempt, state) OVERRIDING SYSTEM VALUE
SELECT seq, job_id, (event ->> 'finished_at')::timestamptz, (event ->> 'attempt')::smallint, event ->> 'state' FROM millrace.outbox;
DO $$ BEGIN PERFORM setval('millrace.events_seq_seq', nextval('millrace.outbox_seq_seq')); END $$;
DROP TABLE millrace.outbox;
-- Publishers of all versions read and delete here. What a job has got since it was tried again is not the event's.
CREATE VIEW millrace.outbox AS
SELECT e.seq, e.job_id, (
    SELECT jsonb_build_object('id', j.id, 'kind', j.kind, 'state', e.state, 'attempt', e.attempt, 'finished_at', e.finished_at)
           || CASE WHEN j.finished_at = e.finished_at AND j.result IS NOT NULL AND octet_length(j.result::text) <= 65536
                   THEN jsonb_build_object('result', j.result) ELSE '{}' END
    FROM millrace.jobs j WHERE j.id = e.job_id) AS event
FROM millrace.events e;
COMMENT ON VIEW millrace.outbox IS 'Events to be published, as they are published; a result of more than 64 KiB is left to a SELECT. The publisher deletes what Redis took.';
GRANT SELECT, UPDATE, DELETE ON millrace.outbox TO millrace_worker, millrace_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.events TO millrace_worker, millrace_admin;
GRANT USAGE ON SEQUENCE millrace.events_seq_seq TO millrace_worker, millrace_admin;

CREATE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NULL;
END
$$;
COMMENT ON FUNCTION millrace.after_end IS 'Called by end_jobs, in its transaction, after these jobs have got their last state: one line for each thing that follows.';

-- The one place where a job ends: state, result, keys and the event change together or not at all.
CREATE OR REPLACE FUNCTION millrace.end_jobs(ids bigint[], new_states text[], results jsonb[], errors jsonb[], usages jsonb[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH ended AS (
        UPDATE millrace.jobs j
        SET state = g.state, result = g.result, error = coalesce(g.error, CASE WHEN g.state <> 'succeeded' THEN j.error END),
            usage = coalesce(g.usage, j.usage), finished_at = clock_timestamp()
        FROM unnest(ids, new_states, results, errors, usages) AS g(id, state, result, error, usage)
        WHERE j.id = g.id AND j.id = ANY (ids)
        RETURNING j.id, j.finished_at, j.attempt, j.state
    )
    INSERT INTO millrace.events (job_id, finished_at, attempt, state)
    SELECT e.id, e.finished_at, e.attempt, e.state FROM ended e ORDER BY e.id;
    DELETE FROM millrace.partials WHERE job_id = ANY (ids);
    DELETE FROM millrace.unique_keys WHERE job_id = ANY (ids);
    DELETE FROM millrace.deadlines WHERE job_id = ANY (ids);
    IF 'failed' = ANY (new_states) THEN
        INSERT INTO millrace.dead_letters (job_id, queue, kind, code)
        SELECT id, queue, kind, coalesce(error ->> 'code', '') FROM millrace.jobs WHERE id = ANY (ids) AND state = 'failed';
    END IF;
    PERFORM millrace.after_end(ids);
    PERFORM pg_notify('millrace_outbox', '');
END
$$;

-- One transaction for many jobs. A stale attempt (its lease is gone or belongs to another one) changes nothing and is
-- missing in the answer.
CREATE OR REPLACE FUNCTION millrace.complete(ids bigint[], tokens bigint[], outcomes text[], results jsonb[], errors jsonb[],
                                             usages jsonb[], delays double precision[])
RETURNS TABLE (job_id bigint, state text) LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_nestloop = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ended millrace.ended_attempt[];
BEGIN
    WITH held AS MATERIALIZED (
        DELETE FROM millrace.leases l
        USING (
            -- Of an attempt that is named twice the first outcome counts.
            SELECT DISTINCT ON (u.job_id, u.run_token) u.*
            FROM unnest(ids, tokens, outcomes, results, errors, usages, delays)
                WITH ORDINALITY AS u(job_id, run_token, outcome, result, error, usage, delay, place)
            ORDER BY u.job_id, u.run_token, u.place) AS g
        -- By ids, and joined by a hash: where the planner takes leases for an empty table, it would compare all of them with all of these.
        WHERE l.job_id = g.job_id AND l.run_token = g.run_token AND l.job_id = ANY (ids)
        RETURNING l.job_id, l.run_token, l.worker_id, l.claimed_at, l.cancel_requested, g.outcome, g.result, g.error, g.usage, g.delay
    )
    SELECT array_agg(ROW(h.job_id, h.run_token, h.worker_id, h.claimed_at, (j.job).attempt, h.outcome,
               CASE WHEN j.job IS NULL THEN h.outcome ELSE millrace.state_after(h.outcome, h.cancel_requested, h.delay, j.job) END,
               h.result, h.error, h.usage, h.delay)::millrace.ended_attempt)
    INTO ended
    -- What follows a success or a cancellation does not depend on the job. LIMIT: so that the job is not read before that is known.
    FROM held h LEFT JOIN LATERAL (
        SELECT j AS job FROM millrace.jobs j WHERE j.id = h.job_id AND h.outcome NOT IN ('succeeded', 'cancelled') LIMIT 1) j ON true;
    IF ended IS NULL THEN RETURN; END IF;
    PERFORM millrace.settle(ended);
    RETURN QUERY SELECT e.job_id, e.state FROM unnest(ended) e;
END
$$;

REVOKE ALL ON FUNCTION millrace.after_end(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.after_end(bigint[]) TO millrace_worker, millrace_admin;
