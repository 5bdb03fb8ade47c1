-- What clients may do beside INSERT and SELECT, and who may do what. Roles are shared by all databases of a server, so
-- they may exist already; they can't log in, real users are made members of them.

CREATE FUNCTION millrace.cancel(job bigint)
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
        UPDATE millrace.leases SET cancel_requested = true WHERE job_id = job;
        IF FOUND THEN
            PERFORM pg_notify('millrace_cancel', job::text);
            RETURN 'running';
        END IF;
        SELECT state INTO state_now FROM millrace.jobs WHERE id = job;
        EXIT WHEN state_now NOT IN ('ready', 'scheduled', 'running');
    END LOOP;
    RETURN state_now;
END
$$;
COMMENT ON FUNCTION millrace.cancel IS 'Cancels a job: one that waits at once, a running one within a step. Answers with its state; running means that the worker is told.';

CREATE FUNCTION millrace.retry(job bigint)
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
COMMENT ON FUNCTION millrace.retry IS 'Puts a failed, cancelled or expired job in line again; its deadline is dropped.';

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['millrace_client', 'millrace_worker', 'millrace_admin'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA millrace FROM PUBLIC;
GRANT USAGE ON SCHEMA millrace TO millrace_client, millrace_worker, millrace_admin;

GRANT SELECT ON millrace.jobs, millrace.models, millrace.kinds, millrace.partials, millrace.attempts TO millrace_client;
GRANT INSERT (kind, model, input, queue, priority, run_at, max_attempts, deadline, unique_key, tenant, metadata)
    ON millrace.jobs TO millrace_client;
GRANT EXECUTE ON FUNCTION millrace.cancel(bigint), millrace.retry(bigint) TO millrace_client, millrace_admin;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA millrace TO millrace_worker, millrace_admin;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA millrace TO millrace_worker, millrace_admin;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA millrace TO millrace_worker, millrace_admin;

ALTER TABLE millrace.jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_jobs ON millrace.jobs TO millrace_client USING (submitted_by = session_user) WITH CHECK (submitted_by = session_user);
CREATE POLICY all_jobs ON millrace.jobs TO millrace_worker, millrace_admin USING (true) WITH CHECK (true);
ALTER TABLE millrace.partials ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_partials ON millrace.partials FOR SELECT TO millrace_client
    USING (EXISTS (SELECT FROM millrace.jobs j WHERE j.id = job_id));
CREATE POLICY all_partials ON millrace.partials TO millrace_worker, millrace_admin USING (true) WITH CHECK (true);
ALTER TABLE millrace.attempts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_attempts ON millrace.attempts FOR SELECT TO millrace_client
    USING (EXISTS (SELECT FROM millrace.jobs j WHERE j.id = job_id));
CREATE POLICY all_attempts ON millrace.attempts TO millrace_worker, millrace_admin USING (true) WITH CHECK (true);
