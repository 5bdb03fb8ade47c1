-- Batches: jobs that were handed in together, with counts that are counted, not kept, and an end that is noticed once.

CREATE TABLE millrace.batches (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
    submitted_by name NOT NULL DEFAULT session_user,
    created_at   timestamptz NOT NULL DEFAULT now(),
    sealed_at    timestamptz,
    ended_at     timestamptz,
    first_open   bigint NOT NULL DEFAULT 0
);
CREATE INDEX batches_open ON millrace.batches (id) WHERE ended_at IS NULL AND sealed_at IS NOT NULL;
COMMENT ON TABLE millrace.batches IS 'Jobs that belong together.';
COMMENT ON COLUMN millrace.batches.id IS 'Number of the batch, as in millrace.jobs.batch.';
COMMENT ON COLUMN millrace.batches.name IS 'The client''s own.';
COMMENT ON COLUMN millrace.batches.submitted_by IS 'Database role that made the batch; clients see only their own.';
COMMENT ON COLUMN millrace.batches.created_at IS 'When the batch was made.';
COMMENT ON COLUMN millrace.batches.sealed_at IS 'Since when no job can be added.';
COMMENT ON COLUMN millrace.batches.ended_at IS 'When it was noticed that all of its jobs had ended; NULL again when one is tried again.';
COMMENT ON COLUMN millrace.batches.first_open IS 'All of its jobs before this one have ended: so the search for an open one walks over each job once.';
GRANT SELECT ON millrace.batches TO millrace_client;
GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.batches TO millrace_worker, millrace_admin;
ALTER TABLE millrace.batches ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_batches ON millrace.batches FOR SELECT TO millrace_client USING (submitted_by = session_user);
CREATE POLICY all_batches ON millrace.batches TO millrace_worker, millrace_admin USING (true) WITH CHECK (true);

-- The index knows nothing that changes: so updates of a job stay on its page.
ALTER TABLE millrace.jobs ADD COLUMN batch bigint;
CREATE INDEX jobs_batch ON millrace.jobs (batch, id) WHERE batch IS NOT NULL;
COMMENT ON COLUMN millrace.jobs.batch IS 'Batch that it belongs to: a number that millrace.create_batch gave.';
GRANT INSERT (batch) ON millrace.jobs TO millrace_client;

CREATE FUNCTION millrace.own_batch(batch bigint)
RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT EXISTS (SELECT FROM millrace.batches b WHERE b.id = batch
                   AND (b.submitted_by = session_user OR pg_has_role(session_user, 'millrace_admin', 'MEMBER')))
$$;
COMMENT ON FUNCTION millrace.own_batch IS 'Whether there is such a batch, as far as the caller may know.';

CREATE FUNCTION millrace.create_batch(name text DEFAULT '')
RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO millrace.batches (name) VALUES (create_batch.name) RETURNING id
$$;
COMMENT ON FUNCTION millrace.create_batch IS 'Makes a batch and answers its number; jobs are added by INSERT until it is sealed.';

CREATE FUNCTION millrace.seal_batch(batch bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT millrace.own_batch(batch) THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('batch: there is no batch %s', batch);
    END IF;
    UPDATE millrace.batches b SET sealed_at = clock_timestamp() WHERE b.id = seal_batch.batch AND b.sealed_at IS NULL;
END
$$;
COMMENT ON FUNCTION millrace.seal_batch IS 'No more jobs can be added; the batch ends with the last of its jobs.';

CREATE FUNCTION millrace.check_batches()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    bad record;
BEGIN
    IF NOT EXISTS (SELECT FROM inserted WHERE batch IS NOT NULL) THEN RETURN NULL; END IF;
    -- Sealing waits for those that are still adding.
    PERFORM FROM millrace.batches b WHERE b.id IN (SELECT i.batch FROM inserted i) ORDER BY b.id FOR SHARE;
    SELECT i.id, CASE WHEN millrace.own_batch(i.batch) THEN format('batch: batch %s is sealed', i.batch) ELSE format('batch: there is no batch %s', i.batch) END AS message
    INTO bad FROM inserted i
    WHERE i.batch IS NOT NULL AND NOT EXISTS (
        SELECT FROM millrace.batches b WHERE b.id = i.batch AND b.sealed_at IS NULL
            AND (b.submitted_by = session_user OR pg_has_role(session_user, 'millrace_admin', 'MEMBER')))
    ORDER BY i.id LIMIT 1;
    IF FOUND THEN
        PERFORM millrace.refuse(bad.message, (SELECT count(*) FROM inserted WHERE id <= bad.id), (SELECT count(*) FROM inserted));
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION millrace.check_batches IS 'Lets jobs only into open batches of the client''s own.';
CREATE TRIGGER check_batches AFTER INSERT ON millrace.jobs
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION millrace.check_batches();

CREATE FUNCTION millrace.batch_counts(batch bigint)
RETURNS TABLE (state text, jobs bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT j.state, count(*) FROM millrace.jobs j
    WHERE j.batch = batch_counts.batch AND millrace.own_batch(batch_counts.batch) GROUP BY j.state
$$;
COMMENT ON FUNCTION millrace.batch_counts IS 'How many jobs of a batch are in which state; none for a batch of somebody else.';

CREATE FUNCTION millrace.cancel_batch(batch bigint, after bigint, maximum integer, OUT last_id bigint, OUT seen integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT millrace.own_batch(batch) THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('batch: there is no batch %s', batch);
    END IF;
    SELECT max(c.id), count(c.state) INTO last_id, seen FROM (
        SELECT o.id, millrace.cancel(o.id) AS state FROM (
            SELECT j.id FROM millrace.jobs j WHERE j.batch = cancel_batch.batch AND j.id > after AND j.finished_at IS NULL
            ORDER BY j.id LIMIT maximum) AS o) AS c;
END
$$;
COMMENT ON FUNCTION millrace.cancel_batch IS 'Cancels up to maximum unfinished jobs of a batch with ids above after; answers how many it looked at, and the last of them. What has ended stays.';

CREATE FUNCTION millrace.end_batches(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    looked_at record;
    next_open bigint;
    total integer := 0;
BEGIN
    FOR looked_at IN
        SELECT b.id, b.first_open FROM millrace.batches b WHERE b.ended_at IS NULL AND b.sealed_at IS NOT NULL
        -- Not those that have been open longest, again and again, when there are more.
        ORDER BY random() LIMIT maximum FOR UPDATE SKIP LOCKED
    LOOP
        SELECT j.id INTO next_open FROM millrace.jobs j
        WHERE j.batch = looked_at.id AND j.id >= looked_at.first_open AND j.finished_at IS NULL ORDER BY j.batch, j.id LIMIT 1;
        IF NOT FOUND THEN
            UPDATE millrace.batches SET ended_at = clock_timestamp() WHERE id = looked_at.id;
            PERFORM pg_notify('millrace_batch', looked_at.id::text);
            total := total + 1;
        ELSIF next_open <> looked_at.first_open THEN
            UPDATE millrace.batches SET first_open = next_open WHERE id = looked_at.id;
        END IF;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION millrace.end_batches IS 'Ends sealed batches of which no job is open; answers how many. Each end is told once on the channel millrace_batch.';

-- As of 0009, and a batch of which a job begins anew is open again.
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
    UPDATE millrace.batches b SET ended_at = NULL, first_open = least(b.first_open, o.id)
    FROM (SELECT j.batch, min(j.id) AS id FROM millrace.jobs j WHERE j.id = ANY (anew) AND j.batch IS NOT NULL GROUP BY j.batch) AS o
    WHERE b.id = o.batch;
    PERFORM millrace.put_in_line(anew);
    RETURN anew;
END
$$;

CREATE FUNCTION millrace.fsck_batches()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT j.id, format('belongs to batch %s, which is not there', j.batch)
    FROM millrace.jobs j WHERE j.batch IS NOT NULL AND NOT EXISTS (SELECT FROM millrace.batches b WHERE b.id = j.batch)
    UNION ALL
    SELECT j.id, format('is %s, but batch %s has ended, or looks only at later ones', j.state, j.batch)
    FROM millrace.jobs j JOIN millrace.batches b ON b.id = j.batch
    WHERE j.batch IS NOT NULL AND j.finished_at IS NULL AND (b.ended_at IS NOT NULL OR j.id < b.first_open)
$$;
COMMENT ON FUNCTION millrace.fsck_batches IS 'Contradictions between jobs and batches.';
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
    UNION ALL SELECT * FROM millrace.fsck_batches()
$$;

REVOKE ALL ON FUNCTION millrace.own_batch(bigint), millrace.create_batch(text), millrace.seal_batch(bigint), millrace.check_batches(),
    millrace.batch_counts(bigint), millrace.cancel_batch(bigint, bigint, integer), millrace.end_batches(integer), millrace.fsck_batches() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.create_batch(text), millrace.seal_batch(bigint), millrace.batch_counts(bigint),
    millrace.cancel_batch(bigint, bigint, integer) TO millrace_client, millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.end_batches(integer) TO millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.fsck_batches() TO millrace_admin;
