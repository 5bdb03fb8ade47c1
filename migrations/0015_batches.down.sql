CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
$$;
DROP FUNCTION millrace.fsck_batches();
CREATE OR REPLACE FUNCTION millrace.begin_anew(ids bigint[])
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
DROP TRIGGER check_batches ON millrace.jobs;
DROP FUNCTION millrace.end_batches(integer), millrace.cancel_batch(bigint, bigint, integer), millrace.batch_counts(bigint), millrace.check_batches(),
    millrace.seal_batch(bigint), millrace.create_batch(text), millrace.own_batch(bigint);
ALTER TABLE millrace.jobs DROP COLUMN batch;
DROP TABLE millrace.batches;
