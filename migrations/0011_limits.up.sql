-- How many jobs of a queue, of a tenant, or with a key may run at a time. A running job holds one slot row for each limit that
-- it is under; no counter exists that could drift. Waiting jobs whose limit is reached step out of the claim's index and
-- come back when a slot is free, so a million of them cost a claim nothing.

ALTER TABLE millrace.jobs ADD COLUMN limit_key text CHECK (length(limit_key) BETWEEN 1 AND 200);
COMMENT ON COLUMN millrace.jobs.limit_key IS 'Jobs with this key run at the same time only as far as the limit of the key allows (jobctl limit).';
GRANT INSERT (limit_key) ON millrace.jobs TO millrace_client;

CREATE TABLE millrace.limits (
    scope   text NOT NULL CHECK (scope IN ('queue', 'tenant', 'key')),
    name    text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    running integer NOT NULL CHECK (running >= 0),
    PRIMARY KEY (scope, name)
);
COMMENT ON TABLE millrace.limits IS 'Limits of jobs that run at the same time.';
COMMENT ON COLUMN millrace.limits.scope IS 'queue, tenant or key: which column of millrace.jobs the name is of (key is limit_key).';
COMMENT ON COLUMN millrace.limits.name IS 'Name of the queue, tenant or key.';
COMMENT ON COLUMN millrace.limits.running IS 'So many of them may run at the same time; 0: none.';

CREATE TABLE millrace.slots (
    job_id bigint NOT NULL,
    scope  text NOT NULL,
    name   text NOT NULL,
    PRIMARY KEY (scope, name, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX slots_job ON millrace.slots (job_id);
COMMENT ON TABLE millrace.slots IS 'One row per running job and limit that it is under; goes with the lease.';
COMMENT ON COLUMN millrace.slots.job_id IS 'The running job.';
COMMENT ON COLUMN millrace.slots.scope IS 'As millrace.limits.scope.';
COMMENT ON COLUMN millrace.slots.name IS 'As millrace.limits.name.';

ALTER TABLE millrace.ready
    ADD COLUMN tenant text NOT NULL DEFAULT '',
    ADD COLUMN limit_key text,
    ADD COLUMN waits_scope text,
    ADD COLUMN waits_name text;
UPDATE millrace.ready r SET tenant = j.tenant FROM millrace.jobs j WHERE j.id = r.job_id AND j.tenant <> '';
COMMENT ON COLUMN millrace.ready.tenant IS 'Copied from the job.';
COMMENT ON COLUMN millrace.ready.limit_key IS 'Copied from the job.';
COMMENT ON COLUMN millrace.ready.waits_scope IS 'Scope of the limit that it waits for, with the unit when it is a rate; NULL when it may be claimed.';
COMMENT ON COLUMN millrace.ready.waits_name IS 'Name of the limit or rate that it waits for.';
DROP INDEX millrace.ready_claim;
DROP INDEX millrace.ready_suspects;
CREATE INDEX ready_claim ON millrace.ready (queue, kind, model, place, job_id) WHERE NOT suspect AND waits_scope IS NULL;
CREATE INDEX ready_suspects ON millrace.ready (queue, kind, model, place, job_id) WHERE suspect AND waits_scope IS NULL;
CREATE INDEX ready_waiting ON millrace.ready (waits_scope, waits_name, place, job_id) WHERE waits_scope IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.limits, millrace.slots TO millrace_worker, millrace_admin;

-- A limit's row is its lock: whoever takes slots or lets jobs wait holds it, and so does whoever frees slots before looking for
-- jobs that wait. So a job never begins to wait for a slot that was freed a moment before.
CREATE FUNCTION millrace.within_limits(candidates bigint[], maximum integer, patient boolean)
RETURNS bigint[] LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    held text[];
    job record;
    full_now text[];
    reached text[] := '{}';
    kept bigint[] := '{}';
    admitted bigint[] := '{}';
BEGIN
    IF patient THEN
        SELECT coalesce(array_agg(l.scope || ':' || l.name), '{}') INTO held FROM (
            SELECT l.scope, l.name FROM millrace.limits l
            WHERE (l.scope, l.name) IN (SELECT b.scope, b.name FROM millrace.bounds(candidates) b)
            ORDER BY l.scope, l.name FOR UPDATE) AS l;
    ELSE
        SELECT coalesce(array_agg(l.scope || ':' || l.name), '{}') INTO held FROM (
            SELECT l.scope, l.name FROM millrace.limits l
            WHERE (l.scope, l.name) IN (SELECT b.scope, b.name FROM millrace.bounds(candidates) b)
            FOR UPDATE SKIP LOCKED) AS l;
    END IF;
    FOR job IN
        SELECT c.id, array_agg(b.scope || ':' || b.name) FILTER (WHERE b.scope IS NOT NULL) AS limits
        FROM unnest(candidates) WITH ORDINALITY AS c(id, position) LEFT JOIN millrace.bounds(candidates) b ON b.job_id = c.id
        GROUP BY c.id ORDER BY min(c.position)
    LOOP
        EXIT WHEN cardinality(admitted) >= maximum;
        IF job.limits IS NULL THEN
            admitted := admitted || job.id;
            CONTINUE;
        END IF;
        -- Others hold the limit at this moment: the job stays where it is.
        CONTINUE WHEN NOT job.limits <@ held;
        IF NOT job.limits && reached THEN
            SELECT array_agg(b.scope || ':' || b.name) INTO full_now FROM millrace.bounds(ARRAY[job.id]) b
            WHERE b.running <= (SELECT count(*) FROM millrace.slots s WHERE s.scope = b.scope AND s.name = b.name);
            IF full_now IS NULL THEN
                INSERT INTO millrace.slots (job_id, scope, name) SELECT b.job_id, b.scope, b.name FROM millrace.bounds(ARRAY[job.id]) b;
                admitted := admitted || job.id;
                CONTINUE;
            END IF;
            reached := reached || full_now;
        END IF;
        kept := kept || job.id;
    END LOOP;
    -- Queues whose limit is reached are left out as a whole; their jobs need not step aside.
    UPDATE millrace.ready r SET waits_scope = b.scope, waits_name = b.name
    FROM (SELECT DISTINCT ON (k.job_id) k.job_id, k.scope, k.name FROM millrace.bounds(kept) k
          WHERE k.scope <> 'queue' AND k.scope || ':' || k.name = ANY (reached) ORDER BY k.job_id, k.scope DESC) b
    WHERE r.job_id = ANY (kept) AND b.job_id = r.job_id;
    RETURN admitted;
END
$$;
COMMENT ON FUNCTION millrace.within_limits IS 'Of ready jobs that the caller has locked, in this order, up to maximum that no limit keeps, which get their slots; tenants'' and keys'' jobs beyond their limit begin to wait for it. Without patience, limits that others hold at the moment count as reached.';

-- What else may keep a job from running is added to these two. In plpgsql, since a function in SQL that has a subquery is planned at
-- every call.
CREATE FUNCTION millrace.is_governed()
RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (SELECT FROM millrace.limits);
END
$$;
COMMENT ON FUNCTION millrace.is_governed IS 'There is something that may keep ready jobs from running.';
CREATE FUNCTION millrace.admit(candidates bigint[], maximum integer, patient boolean)
RETURNS bigint[] LANGUAGE sql SET search_path = pg_catalog AS $$ SELECT millrace.within_limits(candidates, maximum, patient) $$;
COMMENT ON FUNCTION millrace.admit IS 'Of ready jobs that the caller has locked, in this order, up to maximum that nothing keeps from running.';

CREATE FUNCTION millrace.bounds(ids bigint[])
RETURNS TABLE (job_id bigint, scope text, name text, running integer) LANGUAGE sql STABLE AS $$
    SELECT r.job_id, l.scope, l.name, l.running
    FROM millrace.ready r CROSS JOIN LATERAL (VALUES ('queue', r.queue), ('tenant', r.tenant), ('key', r.limit_key)) AS of_job(scope, name)
    JOIN millrace.limits l ON l.scope = of_job.scope AND l.name = of_job.name
    WHERE r.job_id = ANY (ids)
$$;
COMMENT ON FUNCTION millrace.bounds IS 'The limits that ready jobs are under.';

-- A job that another limit keeps must not stand before one that could run. More may come back than there are slots: a claim
-- lets them wait again.
CREATE FUNCTION millrace.let_in(only_scope text, only_name text, maximum bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    woken text[];
BEGIN
    WITH back AS (
        UPDATE millrace.ready r SET waits_scope = NULL, waits_name = NULL
        WHERE r.job_id = ANY (ARRAY(
            SELECT w.job_id FROM millrace.ready w WHERE w.waits_scope = only_scope AND w.waits_name = only_name
              AND (maximum IS NULL OR NOT EXISTS (
                  SELECT FROM millrace.bounds(ARRAY[w.job_id]) b
                  WHERE (b.scope <> only_scope OR b.name <> only_name)
                    AND b.running <= (SELECT count(*) FROM millrace.slots s WHERE s.scope = b.scope AND s.name = b.name)))
            ORDER BY w.place, w.job_id LIMIT maximum FOR UPDATE SKIP LOCKED))
        RETURNING r.queue
    )
    SELECT array_agg(DISTINCT queue) INTO woken FROM back;
    IF woken IS NOT NULL THEN PERFORM millrace.notify_ready(woken); END IF;
END
$$;
COMMENT ON FUNCTION millrace.let_in IS 'Lets the first jobs that wait for a limit, and that no other limit keeps, back in line; NULL: all that wait for it.';

CREATE FUNCTION millrace.free_slots(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    freed record;
BEGIN
    FOR freed IN
        WITH gone AS (DELETE FROM millrace.slots s WHERE s.job_id = ANY (ids) RETURNING s.scope, s.name)
        SELECT scope, name, count(*) AS slots FROM gone GROUP BY scope, name ORDER BY scope, name
    LOOP
        PERFORM FROM millrace.limits l WHERE l.scope = freed.scope AND l.name = freed.name FOR UPDATE;
        IF freed.scope = 'queue' THEN
            PERFORM millrace.notify_ready(ARRAY[freed.name]);
        ELSE
            PERFORM millrace.let_in(freed.scope, freed.name, freed.slots);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION millrace.free_slots IS 'Gives back the slots of jobs that run no more, and lets as many in that wait for them.';

-- Jobs that came back but were cancelled, or taken by nobody, have let a slot go by: a tick repairs that.
CREATE FUNCTION millrace.use_free_slots()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    PERFORM millrace.let_in(l.scope, l.name, l.running - s.used)
    FROM millrace.limits l
    CROSS JOIN LATERAL (SELECT count(*) AS used FROM millrace.slots s WHERE s.scope = l.scope AND s.name = l.name) AS s
    WHERE s.used < l.running
      AND EXISTS (SELECT FROM millrace.ready w WHERE w.waits_scope = l.scope AND w.waits_name = l.name)
    FOR UPDATE OF l SKIP LOCKED;
END
$$;
COMMENT ON FUNCTION millrace.use_free_slots IS 'Lets jobs in that wait for limits with free slots.';

CREATE FUNCTION millrace.set_limit(limit_scope text, limit_name text, most integer)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- Claims that know nothing of the limit end first, so that all that runs is counted.
    PERFORM FROM millrace.workers ORDER BY id FOR UPDATE;
    INSERT INTO millrace.limits (scope, name, running) VALUES (limit_scope, limit_name, most)
    ON CONFLICT (scope, name) DO UPDATE SET running = EXCLUDED.running;
    INSERT INTO millrace.slots (job_id, scope, name)
    SELECT j.id, limit_scope, limit_name FROM millrace.leases l JOIN millrace.jobs j ON j.id = l.job_id
    WHERE limit_name = CASE limit_scope WHEN 'queue' THEN j.queue WHEN 'tenant' THEN j.tenant ELSE j.limit_key END
    ON CONFLICT DO NOTHING;
    PERFORM millrace.use_free_slots();
    IF limit_scope = 'queue' THEN PERFORM millrace.notify_ready(ARRAY[limit_name]); END IF;
END
$$;
COMMENT ON FUNCTION millrace.set_limit IS 'Limits how many jobs of a queue, of a tenant or with a key run at a time; those that run already count, and end as if it were not.';

CREATE FUNCTION millrace.remove_limit(limit_scope text, limit_name text)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM FROM millrace.workers ORDER BY id FOR UPDATE;
    DELETE FROM millrace.limits WHERE scope = limit_scope AND name = limit_name;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM millrace.slots WHERE scope = limit_scope AND name = limit_name;
    PERFORM millrace.let_in(limit_scope, limit_name, NULL);
    IF limit_scope = 'queue' THEN PERFORM millrace.notify_ready(ARRAY[limit_name]); END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION millrace.remove_limit IS 'Lets as many run as workers take; false when there is no such limit.';

ALTER FUNCTION millrace.fsck() RENAME TO fsck_jobs;
CREATE FUNCTION millrace.fsck_limits()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT s.job_id, format('holds a slot of %s %s, but does not run', s.scope, s.name)
    FROM millrace.slots s WHERE NOT EXISTS (SELECT FROM millrace.leases l WHERE l.job_id = s.job_id)
    UNION ALL
    SELECT coalesce(s.job_id, r.id), format('runs, but its slots and the limits that it is under differ: %s %s',
        coalesce(s.scope, r.scope), coalesce(s.name, r.name))
    FROM millrace.slots s FULL JOIN (
        SELECT j.id, l.scope, l.name
        FROM millrace.leases e JOIN millrace.jobs j ON j.id = e.job_id
        CROSS JOIN LATERAL (VALUES ('queue', j.queue), ('tenant', j.tenant), ('key', j.limit_key)) AS of_job(scope, name)
        JOIN millrace.limits l ON l.scope = of_job.scope AND l.name = of_job.name
    ) AS r ON r.id = s.job_id AND r.scope = s.scope AND r.name = s.name
    WHERE (s.job_id IS NULL OR r.id IS NULL) AND (s.job_id IS NULL OR EXISTS (SELECT FROM millrace.leases l WHERE l.job_id = s.job_id))
    UNION ALL
    SELECT r.job_id, format('waits for %s %s, which has no limit', r.waits_scope, r.waits_name)
    FROM millrace.ready r WHERE r.waits_scope IN ('queue', 'tenant', 'key') AND NOT EXISTS (
        SELECT FROM millrace.limits l WHERE l.scope = r.waits_scope AND l.name = r.waits_name)
    UNION ALL
    SELECT r.job_id, 'its place in the line has another tenant or limit key than the job'
    FROM millrace.ready r JOIN millrace.jobs j ON j.id = r.job_id
    WHERE r.tenant <> j.tenant OR r.limit_key IS DISTINCT FROM j.limit_key
$$;
COMMENT ON FUNCTION millrace.fsck_limits IS 'Contradictions between limits, slots and leases.';
CREATE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits()
$$;
COMMENT ON FUNCTION millrace.fsck IS 'Contradictions between the tables of the queue; none when all is well. Reads all jobs.';
REVOKE ALL ON FUNCTION millrace.fsck(), millrace.fsck_limits() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.fsck(), millrace.fsck_limits() TO millrace_admin;

REVOKE ALL ON FUNCTION millrace.is_governed(), millrace.admit(bigint[], integer, boolean), millrace.within_limits(bigint[], integer, boolean), millrace.bounds(bigint[]), millrace.let_in(text, text, bigint),
    millrace.free_slots(bigint[]), millrace.use_free_slots(), millrace.set_limit(text, text, integer), millrace.remove_limit(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.is_governed(), millrace.admit(bigint[], integer, boolean), millrace.within_limits(bigint[], integer, boolean), millrace.bounds(bigint[]), millrace.let_in(text, text, bigint),
    millrace.free_slots(bigint[]), millrace.use_free_slots() TO millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.set_limit(text, text, integer), millrace.remove_limit(text, text) TO millrace_admin;
