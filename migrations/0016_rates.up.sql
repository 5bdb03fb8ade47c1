-- How many jobs, or how many tokens, of a queue, of a tenant, or with a limit key may begin in a second: token buckets. A job takes
-- what it is estimated to cost when it is claimed and is settled at what it did cost when its attempt ends; what it took is
-- a row that goes with the lease, so nothing is settled twice. Waiting jobs step out of the claim's index, as those of limits do,
-- and come back as the bucket fills.

CREATE TABLE millrace.rates (
    scope      text NOT NULL CHECK (scope IN ('queue', 'tenant', 'key')),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    unit       text NOT NULL CHECK (unit IN ('jobs', 'tokens')),
    per_second double precision NOT NULL CHECK (per_second > 0 AND per_second <= 1e9),
    burst      double precision NOT NULL CHECK (burst >= 1 AND burst <= 1e12),
    level      double precision NOT NULL CHECK (level <= burst),
    as_of      timestamptz NOT NULL,
    PRIMARY KEY (scope, name, unit)
);
COMMENT ON TABLE millrace.rates IS 'Rates at which jobs may begin: buckets that fill by per_second up to burst.';
COMMENT ON COLUMN millrace.rates.scope IS 'As millrace.limits.scope.';
COMMENT ON COLUMN millrace.rates.name IS 'Name of the queue, tenant or key.';
COMMENT ON COLUMN millrace.rates.unit IS 'jobs, each of which costs one, or tokens, read and written.';
COMMENT ON COLUMN millrace.rates.per_second IS 'So many flow in each second.';
COMMENT ON COLUMN millrace.rates.burst IS 'The bucket holds at most so many.';
COMMENT ON COLUMN millrace.rates.level IS 'What was in it at as_of; less than nothing when jobs cost more than was in it.';
COMMENT ON COLUMN millrace.rates.as_of IS 'Time of the level.';

CREATE TABLE millrace.reservations (
    job_id bigint NOT NULL,
    scope  text NOT NULL,
    name   text NOT NULL,
    unit   text NOT NULL,
    amount double precision NOT NULL,
    PRIMARY KEY (job_id, scope, name, unit)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE millrace.reservations IS 'What running jobs took from the rates that they are under; goes with the lease.';
COMMENT ON COLUMN millrace.reservations.job_id IS 'The running job.';
COMMENT ON COLUMN millrace.reservations.scope IS 'As millrace.rates.scope.';
COMMENT ON COLUMN millrace.reservations.name IS 'As millrace.rates.name.';
COMMENT ON COLUMN millrace.reservations.unit IS 'As millrace.rates.unit.';
COMMENT ON COLUMN millrace.reservations.amount IS 'So many jobs or tokens.';

GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.rates, millrace.reservations TO millrace_worker, millrace_admin;

CREATE FUNCTION millrace.level(rate millrace.rates)
RETURNS double precision LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT least(rate.burst, rate.level + rate.per_second * greatest(0, extract(epoch FROM clock_timestamp() - rate.as_of)::float8))
$$;
COMMENT ON FUNCTION millrace.level IS 'What is in the bucket now.';

CREATE FUNCTION millrace.cost_of(kind text, input jsonb)
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT greatest(1, octet_length(input::text) / 4 + CASE WHEN kind = 'generate' THEN coalesce((input ->> 'max_tokens')::numeric, 256) ELSE 0 END)
$$;
COMMENT ON FUNCTION millrace.cost_of IS 'Tokens that a job is estimated to cost: a quarter of the bytes of its input, and the longest answer.';

CREATE TYPE millrace.charge AS (job_id bigint, key text, scope text, name text, unit text, cost double precision);
COMMENT ON TYPE millrace.charge IS 'What a job takes from a rate when it begins.';

CREATE FUNCTION millrace.charges(ids bigint[])
RETURNS SETOF millrace.charge LANGUAGE sql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
    SELECT r.job_id, concat_ws(' ', t.scope, t.unit, t.name), t.scope, t.name, t.unit,
           CASE t.unit WHEN 'jobs' THEN 1 ELSE millrace.cost_of(j.kind, j.input) END
    FROM millrace.ready r JOIN millrace.jobs j ON j.id = r.job_id
    CROSS JOIN LATERAL (VALUES ('queue', r.queue), ('tenant', r.tenant), ('key', r.limit_key)) AS of_job(scope, name)
    JOIN millrace.rates t ON t.scope = of_job.scope AND t.name = of_job.name
    WHERE r.job_id = ANY (ids)
$$;
COMMENT ON FUNCTION millrace.charges IS 'What ready jobs would take from the rates that they are under.';

CREATE OR REPLACE FUNCTION millrace.is_governed()
RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (SELECT FROM millrace.limits) OR EXISTS (SELECT FROM millrace.rates);
END
$$;

-- A rate's row is its lock, and rates are locked before limits everywhere.
CREATE OR REPLACE FUNCTION millrace.admit(candidates bigint[], maximum integer, patient boolean)
RETURNS bigint[] LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    -- Inputs may be long: they are looked at once.
    due millrace.charge[];
    held text[];
    levels jsonb;
    charge record;
    job record;
    is_enough boolean;
    fit bigint[] := '{}';
    refused bigint[] := '{}';
    admitted bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM millrace.rates) THEN RETURN millrace.within_limits(candidates, maximum, patient); END IF;
    SELECT array_agg(c) INTO due FROM millrace.charges(candidates) c;
    IF patient THEN
        PERFORM FROM millrace.rates t
        WHERE (t.scope, t.name, t.unit) IN (SELECT c.scope, c.name, c.unit FROM unnest(due) c)
        ORDER BY t.scope, t.name, t.unit FOR UPDATE;
    END IF;
    SELECT array_agg(h.key) INTO held FROM (
        SELECT concat_ws(' ', t.scope, t.unit, t.name) AS key FROM millrace.rates t
        WHERE (t.scope, t.name, t.unit) IN (SELECT c.scope, c.name, c.unit FROM unnest(due) c)
        FOR UPDATE SKIP LOCKED) AS h;
    SELECT coalesce(jsonb_object_agg(concat_ws(' ', t.scope, t.unit, t.name), jsonb_build_object('level', millrace.level(t), 'burst', t.burst)), '{}')
    INTO levels FROM millrace.rates t WHERE concat_ws(' ', t.scope, t.unit, t.name) = ANY (held);

    FOR job IN
        SELECT c.id, coalesce(jsonb_object_agg(g.key, g.cost) FILTER (WHERE g.key IS NOT NULL), '{}') AS costs
        FROM unnest(candidates) WITH ORDINALITY AS c(id, position) LEFT JOIN unnest(due) g ON g.job_id = c.id
        GROUP BY c.id ORDER BY min(c.position)
    LOOP
        -- Others hold the rate at this moment: the job stays where it is.
        CONTINUE WHEN NOT levels ?& ARRAY(SELECT jsonb_object_keys(job.costs));
        -- What costs more than the bucket holds goes when it is full.
        SELECT coalesce(bool_and((levels #>> ARRAY[c.key, 'level'])::float8 >= least(c.value::float8, (levels #>> ARRAY[c.key, 'burst'])::float8)), true)
        INTO is_enough FROM jsonb_each_text(job.costs) c;
        IF NOT is_enough THEN
            refused := refused || job.id;
            CONTINUE;
        END IF;
        fit := fit || job.id;
        FOR charge IN SELECT * FROM jsonb_each_text(job.costs) LOOP
            levels := jsonb_set(levels, ARRAY[charge.key, 'level'], to_jsonb((levels #>> ARRAY[charge.key, 'level'])::float8 - charge.value::float8));
        END LOOP;
    END LOOP;

    admitted := millrace.within_limits(fit, maximum, patient);
    INSERT INTO millrace.reservations (job_id, scope, name, unit, amount)
    SELECT c.job_id, c.scope, c.name, c.unit, c.cost FROM unnest(due) c WHERE c.job_id = ANY (admitted);
    UPDATE millrace.rates t SET level = millrace.level(t) - s.amount, as_of = clock_timestamp()
    FROM (SELECT c.scope, c.name, c.unit, sum(c.cost) AS amount FROM unnest(due) c WHERE c.job_id = ANY (admitted)
          GROUP BY c.scope, c.name, c.unit) s
    WHERE t.scope = s.scope AND t.name = s.name AND t.unit = s.unit;
    -- Those that were refused only for the sake of jobs that a limit then kept stay in line.
    UPDATE millrace.ready r SET waits_scope = c.scope || ' ' || c.unit, waits_name = c.name
    FROM (SELECT DISTINCT ON (g.job_id) g.job_id, g.scope, g.unit, g.name
          FROM unnest(due) g JOIN millrace.rates t ON t.scope = g.scope AND t.name = g.name AND t.unit = g.unit
          WHERE g.job_id = ANY (refused) AND millrace.level(t) < least(g.cost, t.burst) ORDER BY g.job_id, g.scope DESC, g.unit) c
    WHERE r.job_id = c.job_id;
    RETURN admitted;
END
$$;
COMMENT ON FUNCTION millrace.admit IS 'Of ready jobs that the caller has locked, in this order, up to maximum that neither a rate nor a limit keeps; they get their slots and take what they are estimated to cost. Others begin to wait. Without patience, what others hold at the moment counts as used up.';

CREATE OR REPLACE FUNCTION millrace.after_attempts(ended millrace.ended_attempt[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM millrace.rates) THEN RETURN; END IF;
    PERFORM FROM millrace.rates t
    WHERE (t.scope, t.name, t.unit) IN (SELECT r.scope, r.name, r.unit FROM millrace.reservations r WHERE r.job_id IN (SELECT e.job_id FROM unnest(ended) e))
    ORDER BY t.scope, t.name, t.unit FOR UPDATE;
    WITH gone AS (
        DELETE FROM millrace.reservations r WHERE r.job_id = ANY (ARRAY(SELECT e.job_id FROM unnest(ended) e)) RETURNING r.*
    ), surplus AS (
        SELECT g.scope, g.name, g.unit, sum(g.amount - CASE
                -- Nor does the result of an equal job.
                WHEN e.outcome IN ('released', 'lost') OR e.usage ? 'cached_result' THEN 0
                WHEN g.unit = 'tokens' AND jsonb_typeof(e.usage -> 'total_tokens') = 'number' THEN (e.usage ->> 'total_tokens')::float8
                ELSE g.amount END) AS amount
        FROM gone g JOIN unnest(ended) e ON e.job_id = g.job_id GROUP BY g.scope, g.name, g.unit
    )
    UPDATE millrace.rates t SET level = least(t.burst, millrace.level(t) + s.amount), as_of = clock_timestamp()
    FROM surplus s WHERE t.scope = s.scope AND t.name = s.name AND t.unit = s.unit;
END
$$;

-- Those that the bucket holds enough for now, in the order of the line; a claim decides.
CREATE FUNCTION millrace.use_rates()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    rate record;
    enough bigint;
BEGIN
    FOR rate IN
        SELECT t.scope, t.name, t.unit, t.burst, millrace.level(t) AS level FROM millrace.rates t
        WHERE EXISTS (SELECT FROM millrace.ready w WHERE w.waits_scope = t.scope || ' ' || t.unit AND w.waits_name = t.name)
        FOR UPDATE SKIP LOCKED
    LOOP
        SELECT count(*) INTO enough FROM (
            SELECT c.cost, sum(c.cost) OVER (ORDER BY c.place, c.job_id) AS total FROM (
                SELECT w.job_id, w.place, CASE rate.unit WHEN 'jobs' THEN 1 ELSE millrace.cost_of(j.kind, j.input) END AS cost
                FROM (SELECT w.job_id, w.place FROM millrace.ready w
                      WHERE w.waits_scope = rate.scope || ' ' || rate.unit AND w.waits_name = rate.name
                      ORDER BY w.place, w.job_id LIMIT 1000) AS w
                JOIN millrace.jobs j ON j.id = w.job_id) AS c) AS first
        WHERE rate.level >= first.total - first.cost + least(first.cost, rate.burst);
        IF enough > 0 THEN PERFORM millrace.let_in(rate.scope || ' ' || rate.unit, rate.name, enough); END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION millrace.use_rates IS 'Lets jobs in that wait for rates whose buckets hold enough again, up to a thousand of each.';

CREATE FUNCTION millrace.set_rate(rate_scope text, rate_name text, rate_unit text, each_second double precision, most double precision)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO millrace.rates AS t (scope, name, unit, per_second, burst, level, as_of)
    VALUES (rate_scope, rate_name, rate_unit, each_second, most, most, clock_timestamp())
    ON CONFLICT (scope, name, unit) DO UPDATE SET per_second = EXCLUDED.per_second, burst = EXCLUDED.burst,
        level = least(EXCLUDED.burst, millrace.level(t)), as_of = EXCLUDED.as_of;
    PERFORM millrace.use_rates();
END
$$;
COMMENT ON FUNCTION millrace.set_rate IS 'Lets so many jobs or tokens of a queue, of a tenant or with a key begin each second, and up to most at once; a new bucket is full. Jobs that run already took nothing.';

CREATE FUNCTION millrace.remove_rate(rate_scope text, rate_name text, rate_unit text)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    DELETE FROM millrace.rates WHERE scope = rate_scope AND name = rate_name AND unit = rate_unit;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM millrace.reservations WHERE scope = rate_scope AND name = rate_name AND unit = rate_unit;
    PERFORM millrace.let_in(rate_scope || ' ' || rate_unit, rate_name, NULL);
    RETURN true;
END
$$;
COMMENT ON FUNCTION millrace.remove_rate IS 'Lets jobs begin as fast as workers take them; false when there is no such rate.';

CREATE FUNCTION millrace.fsck_rates()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT r.job_id, format('holds a reservation of %s %s, but does not run', r.scope, r.name)
    FROM millrace.reservations r WHERE NOT EXISTS (SELECT FROM millrace.leases l WHERE l.job_id = r.job_id)
    UNION ALL
    SELECT r.job_id, format('holds a reservation of %s %s, which has no rate in %s', r.scope, r.name, r.unit)
    FROM millrace.reservations r WHERE NOT EXISTS (
        SELECT FROM millrace.rates t WHERE t.scope = r.scope AND t.name = r.name AND t.unit = r.unit)
    UNION ALL
    SELECT r.job_id, format('waits for %s of %s, which has no such rate', r.waits_scope, r.waits_name)
    FROM millrace.ready r WHERE r.waits_scope NOT IN ('queue', 'tenant', 'key') AND NOT EXISTS (
        SELECT FROM millrace.rates t WHERE t.scope || ' ' || t.unit = r.waits_scope AND t.name = r.waits_name)
$$;
COMMENT ON FUNCTION millrace.fsck_rates IS 'Contradictions between rates, reservations and leases.';
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
    UNION ALL SELECT * FROM millrace.fsck_batches() UNION ALL SELECT * FROM millrace.fsck_rates()
$$;

REVOKE ALL ON FUNCTION millrace.level(millrace.rates), millrace.cost_of(text, jsonb), millrace.charges(bigint[]), millrace.use_rates(),
    millrace.set_rate(text, text, text, double precision, double precision), millrace.remove_rate(text, text, text),
    millrace.fsck_rates() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.level(millrace.rates), millrace.cost_of(text, jsonb), millrace.charges(bigint[]), millrace.use_rates()
    TO millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.set_rate(text, text, text, double precision, double precision), millrace.remove_rate(text, text, text),
    millrace.fsck_rates() TO millrace_admin;
