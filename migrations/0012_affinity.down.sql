DROP FUNCTION millrace.claim(uuid, text[], text[], text[], integer, text[], text[], integer, text[], text[]);
DROP FUNCTION millrace.near(text[], text[], text[], timestamptz, text[], text[], integer);
DROP FUNCTION millrace.pick(bigint[], text[], text[], text[], integer, text[], timestamptz, timestamptz, bigint[], boolean);
DROP FUNCTION millrace.lanes(text[], text[], text[]);
DROP INDEX millrace.ready_prefixes;
ALTER TABLE millrace.ready DROP COLUMN prefix;
ALTER TABLE millrace.queues DROP COLUMN affinity_window;
ALTER TABLE millrace.workers DROP COLUMN at_hand;

CREATE OR REPLACE FUNCTION millrace.put_in_line(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off AS $$
BEGIN
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at, place, suspect)
    SELECT j.id, j.queue, j.kind, j.model, j.priority, j.run_at, j.run_at + j.priority * q.priority_step,
           j.worker_deaths >= j.max_worker_deaths - 1
    FROM millrace.jobs j JOIN millrace.queues q ON q.queue = j.queue WHERE j.id = ANY (ids);
    PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM millrace.jobs WHERE id = ANY (ids) HAVING count(*) > 0;
END
$$;

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

CREATE OR REPLACE FUNCTION millrace.claim(worker uuid, queues text[], kinds text[], models text[], maximum integer)
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

DROP FUNCTION millrace.prefix_chain(text, jsonb), millrace.chain_of(jsonb);
DROP FUNCTION millrace.after_attempts(millrace.ended_attempt[]);
