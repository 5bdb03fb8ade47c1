-- Jobs go where their model is in memory and where what they begin with is computed already, as long as that makes nobody
-- wait longer than agreed: a job is never overtaken, for affinity's sake, by one that came more than the window after it.

ALTER TABLE millrace.queues
    ADD COLUMN affinity_window interval NOT NULL DEFAULT '2 minutes' CHECK (affinity_window BETWEEN '0' AND '100 days');
COMMENT ON COLUMN millrace.queues.affinity_window IS 'A job may be overtaken by jobs that suit a worker better and came at most so much later; 0: by none.';

-- Doubling lengths, so that one short text tells for a preamble of any length how much of it two jobs share: as much as
-- their chains do. Sixteen bits each are enough for a preference.
CREATE FUNCTION millrace.chain_of(input jsonb)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT string_agg(lpad(to_hex(hashtextextended(left(t.beginning, 256 << level), 0) & 65535), 4, '0'), '' ORDER BY level)
    FROM (SELECT concat(input -> 'tools', input ->> 'system', coalesce(input ->> 'prompt', input ->> 'messages')) AS beginning) AS t,
         generate_series(0, 7) AS level
    WHERE length(t.beginning) >= 256 << level
$$;
COMMENT ON FUNCTION millrace.chain_of IS 'millrace.prefix_chain of an input that is long enough.';
-- No search_path and no subquery: so it becomes a part of the statement that calls it, and short jobs cost no call.
CREATE FUNCTION millrace.prefix_chain(kind text, input jsonb)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN kind IN ('generate', 'score') AND pg_column_size(input) >= 256 THEN millrace.chain_of(input) END
$$;
COMMENT ON FUNCTION millrace.prefix_chain IS 'Hashes of the first 256, 512, … 32768 characters of what a job''s text begins with, four digits each, as far as it is that long; NULL when it is shorter.';

ALTER TABLE millrace.ready ADD COLUMN prefix text COLLATE "C";
UPDATE millrace.ready r SET prefix = millrace.prefix_chain(j.kind, j.input) FROM millrace.jobs j WHERE j.id = r.job_id;
COMMENT ON COLUMN millrace.ready.prefix IS 'millrace.prefix_chain of the job.';
CREATE INDEX ready_prefixes ON millrace.ready (queue, kind, model, prefix, place, job_id)
    WHERE prefix IS NOT NULL AND NOT suspect AND waits_scope IS NULL;

ALTER TABLE millrace.workers ADD COLUMN at_hand text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN millrace.workers.at_hand IS 'Models that it said it has in memory, or was given jobs of, at its last claim.';

CREATE OR REPLACE FUNCTION millrace.put_in_line(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off AS $$
BEGIN
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at, place, suspect, tenant, limit_key, prefix)
    SELECT j.id, j.queue, j.kind, j.model, j.priority, j.run_at, j.run_at + j.priority * q.priority_step,
           j.worker_deaths >= j.max_worker_deaths - 1, j.tenant, j.limit_key, millrace.prefix_chain(j.kind, j.input)
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
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at, place, suspect, tenant, limit_key, prefix)
    SELECT i.id, i.queue, i.kind, i.model, i.priority, i.run_at, i.run_at + i.priority * q.priority_step, i.max_worker_deaths = 1,
           i.tenant, i.limit_key, millrace.prefix_chain(i.kind, i.input)
    FROM inserted i JOIN millrace.queues q ON q.queue = i.queue WHERE i.run_at <= now();
    -- Jobs for later wake nobody now.
    PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM inserted WHERE run_at <= now() HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION millrace.after_attempts(ended millrace.ended_attempt[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NULL;
END
$$;
COMMENT ON FUNCTION millrace.after_attempts IS 'What follows from the end of attempts, however they ended, beside slots and the jobs'' states; called before both.';

CREATE OR REPLACE FUNCTION millrace.settle(ended millrace.ended_attempt[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET enable_hashjoin = on SET jit = off AS $$
BEGIN
    PERFORM millrace.after_attempts(ended);
    IF EXISTS (SELECT FROM millrace.limits) THEN PERFORM millrace.free_slots(array_agg(e.job_id)) FROM unnest(ended) e; END IF;
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

CREATE FUNCTION millrace.lanes(queues text[], kinds text[], models text[])
RETURNS TABLE (queue text, kind text, model text, affinity_window interval) LANGUAGE sql STABLE AS $$
    WITH open AS (
        SELECT q.queue, q.affinity_window FROM millrace.queues q
        WHERE q.queue = ANY (queues) AND NOT q.paused AND NOT EXISTS (
            SELECT FROM millrace.limits l WHERE l.scope = 'queue' AND l.name = q.queue
               AND l.running <= (SELECT count(*) FROM millrace.slots s WHERE s.scope = l.scope AND s.name = l.name))
    )
    SELECT o.queue, k.kind, m.model, o.affinity_window
    FROM open o, millrace.kinds k, unnest(models) AS m(model) WHERE k.kind = ANY (kinds) AND k.needs_model
    UNION ALL
    SELECT o.queue, k.kind, '', o.affinity_window FROM open o, millrace.kinds k WHERE k.kind = ANY (kinds) AND NOT k.needs_model
$$;
COMMENT ON FUNCTION millrace.lanes IS 'What a worker may look at: each queue that is neither paused nor full, with each kind and model.';

-- Planned once for each connection (force_generic_plan): the plan is the same for all arguments, and planning took longer than
-- the claim of a single job. Each lane is one ordered scan of its index that stops after the rows it needs. MATERIALIZED is the fence: without it the
-- planner may run the locking scan more than once and take more rows.
CREATE FUNCTION millrace.pick(near bigint[], queues text[], kinds text[], models text[], maximum integer, at_hand text[],
                              horizon timestamptz, latest timestamptz, taken bigint[], with_suspect boolean)
RETURNS bigint[] LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    picked bigint[];
BEGIN
    WITH lane AS (
        SELECT * FROM millrace.lanes(queues, kinds, models)
    ), close AS MATERIALIZED (
        SELECT r.job_id, r.place FROM millrace.ready r
        WHERE r.job_id = ANY (near) AND NOT r.suspect AND r.waits_scope IS NULL
        FOR UPDATE SKIP LOCKED
    ), trusted AS MATERIALIZED (
        SELECT r.job_id, r.place, CASE WHEN r.place <= horizon AND (lane.model = '' OR lane.model = ANY (at_hand)) THEN 1 ELSE 2 END AS turn
        FROM lane CROSS JOIN LATERAL (
            SELECT r.job_id, r.place
            FROM millrace.ready r
            WHERE r.queue = lane.queue AND r.kind = lane.kind AND r.model = lane.model AND NOT r.suspect AND r.waits_scope IS NULL
              AND r.place <= latest AND r.job_id <> ALL (taken)
            ORDER BY r.place, r.job_id
            LIMIT maximum
            FOR UPDATE SKIP LOCKED
        ) r
        ORDER BY turn, r.place, r.job_id
        LIMIT maximum
    ), suspect AS MATERIALIZED (
        SELECT r.job_id, r.place, CASE WHEN r.place <= horizon AND (lane.model = '' OR lane.model = ANY (at_hand)) THEN 1 ELSE 2 END AS turn
        FROM lane CROSS JOIN LATERAL (
            SELECT r.job_id, r.place
            FROM millrace.ready r
            WHERE r.queue = lane.queue AND r.kind = lane.kind AND r.model = lane.model AND r.suspect AND r.waits_scope IS NULL
              AND r.place <= latest
            ORDER BY r.place, r.job_id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ) r
        WHERE with_suspect
        ORDER BY turn, r.place, r.job_id
        LIMIT 1
    )
    SELECT coalesce(array_agg(f.job_id ORDER BY f.turn, f.place, f.job_id), '{}') INTO picked FROM (
        SELECT a.job_id, min(a.turn) AS turn, min(a.place) AS place
        FROM (SELECT c.job_id, c.place, 0 AS turn FROM close c
              UNION ALL SELECT t.job_id, t.place, t.turn FROM trusted t
              UNION ALL SELECT s.job_id, s.place, s.turn FROM suspect s) AS a
        GROUP BY a.job_id ORDER BY min(a.turn), min(a.place), a.job_id LIMIT maximum) AS f;
    RETURN picked;
END
$$;
COMMENT ON FUNCTION millrace.pick IS 'Locks up to maximum ready jobs for a claim: those in near, then models at hand up to the horizon, then by place, none behind latest; at most one suspect.';

CREATE FUNCTION millrace.near(queues text[], kinds text[], chosen text[], horizon timestamptz, hot_models text[], hot_prefixes text[], maximum integer)
RETURNS bigint[] LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    nearest bigint[];
BEGIN
    WITH stretch AS (
        -- One stretch of the index for each length of each chain; the earlier of two equal ones counts.
        SELECT DISTINCT ON (h.model, left(h.prefix, 4 * level)) h.model, left(h.prefix, 4 * level) AS part,
               CASE WHEN h.position = cardinality(hot_models) THEN 0 ELSE level END AS closeness
        FROM unnest(hot_models, hot_prefixes) WITH ORDINALITY AS h(model, prefix, position)
        CROSS JOIN generate_series(1, 8) AS level
        WHERE h.model = ANY (chosen) AND length(h.prefix) >= 4 * level
        ORDER BY h.model, left(h.prefix, 4 * level), closeness DESC
    ), found AS (
        SELECT r.job_id, s.closeness, r.prefix, r.place
        FROM stretch s JOIN millrace.lanes(queues, kinds, chosen) l ON l.model = s.model CROSS JOIN LATERAL (
            SELECT r.job_id, r.prefix, r.place FROM millrace.ready r
            WHERE r.queue = l.queue AND r.kind = l.kind AND r.model = l.model AND NOT r.suspect AND r.waits_scope IS NULL
              AND r.prefix >= s.part COLLATE "C" AND r.prefix < (s.part || 'g') COLLATE "C"
            ORDER BY r.prefix, r.place, r.job_id
            -- Some of these may be too young; how many are looked at is bounded nevertheless.
            LIMIT greatest(16, 2 * maximum)
        ) r
        WHERE r.place <= horizon
    )
    SELECT array_agg(n.job_id) INTO nearest FROM (
        SELECT f.job_id FROM found f GROUP BY f.job_id
        ORDER BY max(f.closeness) DESC, min(f.prefix), min(f.place), f.job_id LIMIT maximum) AS n;
    RETURN nearest;
END
$$;
COMMENT ON FUNCTION millrace.near IS 'Up to maximum ready jobs that share the longest beginnings with the hot chains, none behind the horizon; the last of the chains counts least. Locks nothing.';

CREATE FUNCTION millrace.claim(worker uuid, queues text[], kinds text[], models text[], maximum integer,
                               busy text[], idle text[], places integer, hot_models text[], hot_prefixes text[])
RETURNS TABLE (job_id bigint, run_token bigint, kind text, model text, input jsonb, queue text, priority smallint,
               attempt smallint, max_attempts smallint, tenant text, created_at double precision, progress jsonb,
               retry_policy text, retry_delay real, failures smallint, prefix text)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    may_take_suspect boolean;
    horizon timestamptz;
    latest timestamptz;
    chosen text[];
    oldest_model text;
    oldest_prefix text;
    near bigint[] := '{}';
    wanted integer := maximum;
    picked bigint[];
    claimed bigint[] := '{}';
    advertised text[];
BEGIN
    -- The lock keeps rescue from taking this worker for one without leases while the claim is under way; beats pass it.
    PERFORM FROM millrace.workers w WHERE w.id = worker AND NOT w.lost FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'MR001', MESSAGE = 'worker: not registered or found dead';
    END IF;
    may_take_suspect := NOT EXISTS (SELECT FROM millrace.leases l WHERE l.worker_id = worker AND l.suspect);

    -- Which models: those that are busy anyway, and beside them as many as there are places. An overdue job's goes first; then
    -- one in memory, but not one that other live workers have too while there is one that nobody has. Workers that all went by
    -- age alone would have the same models at the same time, and change them together.
    WITH head AS MATERIALIZED (
        SELECT l.model, r.place, r.prefix, CASE WHEN NOT r.suspect THEN r.place + l.affinity_window END AS bound
        FROM millrace.lanes(queues, kinds, models) l CROSS JOIN LATERAL (
            (SELECT r.place, r.prefix, r.suspect FROM millrace.ready r
             WHERE r.queue = l.queue AND r.kind = l.kind AND r.model = l.model AND NOT r.suspect AND r.waits_scope IS NULL
             ORDER BY r.place, r.job_id LIMIT 1)
            UNION ALL
            (SELECT r.place, r.prefix, r.suspect FROM millrace.ready r
             WHERE may_take_suspect AND r.queue = l.queue AND r.kind = l.kind AND r.model = l.model AND r.suspect AND r.waits_scope IS NULL
             ORDER BY r.place, r.job_id LIMIT 1)) AS r
    ), beside AS (
        SELECT h.model FROM (
            SELECT h.model, min(h.place) AS place,
                (SELECT count(*) FROM millrace.workers w WHERE NOT w.lost AND w.id <> worker AND h.model = ANY (w.at_hand)) AS elsewhere
            FROM head h WHERE h.model <> '' AND h.model <> ALL (busy) GROUP BY h.model) AS h
        ORDER BY h.place > (SELECT min(bound) FROM head), h.elsewhere > 0, h.model <> ALL (idle), h.elsewhere, h.place, h.model
        LIMIT places
    ), allowed AS (
        SELECT busy || ARRAY(SELECT model FROM beside) AS models
    )
    SELECT a.models, (SELECT min(bound) FROM head),
        coalesce((SELECT min(bound) FROM head h WHERE h.model <> '' AND h.model <> ALL (a.models)), 'infinity'), o.model, o.prefix
    INTO chosen, horizon, latest, oldest_model, oldest_prefix
    FROM allowed a LEFT JOIN LATERAL (
        SELECT h.model, h.prefix FROM head h WHERE h.model = ANY (a.models)
        ORDER BY h.model <> ALL (busy || idle), h.place LIMIT 1) AS o ON true;
    IF oldest_prefix IS NOT NULL OR hot_prefixes <> '{}' THEN
        -- The oldest job brings those that begin like it.
        near := millrace.near(queues, kinds, chosen, horizon, hot_models || oldest_model, hot_prefixes || oldest_prefix, maximum);
    END IF;

    -- Jobs that a limit keeps step aside, and those behind them get a look.
    FOR round IN 1..5 LOOP
        picked := millrace.pick(near, queues, kinds, chosen, wanted, busy || idle, horizon, latest, claimed, may_take_suspect AND round = 1);
        IF NOT millrace.is_governed() THEN
            claimed := picked;
            EXIT;
        END IF;
        claimed := claimed || millrace.admit(picked, maximum - cardinality(claimed), round = 1);
        EXIT WHEN cardinality(claimed) >= maximum OR cardinality(picked) < wanted;
        near := '{}';
        wanted := greatest(maximum, least(4 * wanted, 1000));
    END LOOP;
    IF models <> '{}' THEN
        -- Written when it has changed: a claim costs no version of the worker's row.
        advertised := ARRAY(SELECT DISTINCT m FROM unnest(busy || idle || CASE WHEN claimed <> '{}' THEN chosen END) AS m ORDER BY m);
        UPDATE millrace.workers w SET at_hand = advertised WHERE w.id = worker AND w.at_hand <> advertised;
    END IF;
    IF claimed = '{}' THEN RETURN; END IF;
    RETURN QUERY
    WITH taken AS (
        DELETE FROM millrace.ready r WHERE r.job_id = ANY (claimed) RETURNING r.job_id, r.place, r.suspect, r.prefix
    ), leased AS (
        INSERT INTO millrace.leases (job_id, run_token, worker_id, suspect)
        -- In the order of the line: so the tokens carry it.
        SELECT t.job_id, nextval('millrace.run_tokens'), worker, t.suspect
        FROM (SELECT * FROM taken ORDER BY place, job_id) AS t
        RETURNING job_id, run_token
    ), started AS (
        UPDATE millrace.jobs j SET state = 'running', attempt = least(j.attempt + 1, 32767), started_at = clock_timestamp()
        WHERE j.id = ANY (claimed)
        RETURNING j.*
    )
    SELECT s.id, l.run_token, s.kind, s.model, s.input, s.queue, s.priority, s.attempt, s.max_attempts, s.tenant,
           extract(epoch FROM s.created_at)::float8, (SELECT p.progress FROM millrace.partials p WHERE p.job_id = s.id),
           s.retry_policy, s.retry_delay, s.failures, t.prefix
    FROM started s JOIN leased l ON l.job_id = s.id JOIN taken t ON t.job_id = s.id
    ORDER BY l.run_token;
END
$$;
COMMENT ON FUNCTION millrace.claim(uuid, text[], text[], text[], integer, text[], text[], integer, text[], text[]) IS 'Claims up to maximum jobs for the worker, each with a new run_token: of models that it is busy with, of others in its memory (idle) and of new ones for as many as it has places, first of all those that begin like the hot prefixes; at most one suspect among all that it holds.';

-- Workers of the version before go on beside newer ones.
CREATE OR REPLACE FUNCTION millrace.claim(worker uuid, queues text[], kinds text[], models text[], maximum integer)
RETURNS TABLE (job_id bigint, run_token bigint, kind text, model text, input jsonb, queue text, priority smallint,
               attempt smallint, max_attempts smallint, tenant text, created_at double precision, progress jsonb,
               retry_policy text, retry_delay real, failures smallint)
LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT c.job_id, c.run_token, c.kind, c.model, c.input, c.queue, c.priority, c.attempt, c.max_attempts, c.tenant, c.created_at,
           c.progress, c.retry_policy, c.retry_delay, c.failures
    FROM millrace.claim(worker, queues, kinds, models, maximum, models, '{}', 0, '{}', '{}') c
$$;
COMMENT ON FUNCTION millrace.claim(uuid, text[], text[], text[], integer) IS 'The claim of workers up to schema 10: all models at hand, no preference.';

REVOKE ALL ON FUNCTION millrace.after_attempts(millrace.ended_attempt[]), millrace.chain_of(jsonb), millrace.prefix_chain(text, jsonb), millrace.lanes(text[], text[], text[]),
    millrace.pick(bigint[], text[], text[], text[], integer, text[], timestamptz, timestamptz, bigint[], boolean),
    millrace.near(text[], text[], text[], timestamptz, text[], text[], integer),
    millrace.claim(uuid, text[], text[], text[], integer, text[], text[], integer, text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.after_attempts(millrace.ended_attempt[]), millrace.chain_of(jsonb), millrace.prefix_chain(text, jsonb), millrace.lanes(text[], text[], text[]),
    millrace.pick(bigint[], text[], text[], text[], integer, text[], timestamptz, timestamptz, bigint[], boolean),
    millrace.near(text[], text[], text[], timestamptz, text[], text[], integer),
    millrace.claim(uuid, text[], text[], text[], integer, text[], text[], integer, text[], text[]) TO millrace_worker, millrace_admin;
