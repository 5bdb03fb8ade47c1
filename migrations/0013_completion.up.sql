-- What follows from a job's end for other rows: one function with one line for each thing that follows, so that the end itself
-- stays as it is.

CREATE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NULL;
END
$$;
COMMENT ON FUNCTION millrace.after_end IS 'Called by end_jobs, in its transaction, after these jobs have got their last state.';

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
    PERFORM millrace.after_end(ids);
    PERFORM pg_notify('millrace_outbox', '');
END
$$;

REVOKE ALL ON FUNCTION millrace.after_end(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.after_end(bigint[]) TO millrace_worker, millrace_admin;
