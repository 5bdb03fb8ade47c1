-- Back to the checks, events and functions of before.
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

DROP FUNCTION millrace.after_end(bigint[]);

ALTER VIEW millrace.outbox RENAME TO told;
CREATE TABLE millrace.outbox (
    seq    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    event  jsonb NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE millrace.outbox IS 'Events to be published, written in the transaction that they tell of; the publisher deletes what Redis took.';
COMMENT ON COLUMN millrace.outbox.seq IS 'Number of the event; for one job it only grows.';
COMMENT ON COLUMN millrace.outbox.job_id IS 'The job.';
COMMENT ON COLUMN millrace.outbox.event IS '{"id","kind","state","attempt","finished_at","result"?}; the publisher adds "seq".';
INSERT INTO millrace.outbox (seq, job_id, event) OVERRIDING SYSTEM VALUE SELECT seq, job_id, event FROM millrace.told;
DO $$ BEGIN PERFORM setval('millrace.outbox_seq_seq', nextval('millrace.events_seq_seq')); END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.outbox TO millrace_worker, millrace_admin;
GRANT USAGE ON SEQUENCE millrace.outbox_seq_seq TO millrace_worker, millrace_admin;
DROP VIEW millrace.told;
DROP TABLE millrace.events;

ALTER TABLE millrace.jobs RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor);
ALTER TABLE millrace.jobs SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
