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
