-- Work that is not done twice, and work that is done twice on purpose: results that stand for jobs that ask the same, and jobs
-- that are run again to compare the bytes.

ALTER TABLE millrace.kinds ADD COLUMN reusable boolean NOT NULL DEFAULT false;
UPDATE millrace.kinds SET reusable = true WHERE kind IN ('generate', 'score', 'embed');
COMMENT ON COLUMN millrace.kinds.reusable IS 'True when equal jobs have equal results, and nothing but the result.';
ALTER TABLE millrace.jobs
    ADD COLUMN cache boolean NOT NULL DEFAULT true,
    ADD COLUMN replay_of bigint;
COMMENT ON COLUMN millrace.jobs.cache IS 'False: the job is computed whatever equal jobs there are, and its result stands for no other.';
COMMENT ON COLUMN millrace.jobs.replay_of IS 'The job that this one repeats, so that their results can be compared.';
GRANT INSERT (cache) ON millrace.jobs TO millrace_client;

-- Who is equal is decided when a worker has claimed the job: in its own short transaction, so that clients never wait for each other's,
-- and with the model's digest of that moment.
CREATE TABLE millrace.flights (
    key    bytea PRIMARY KEY,
    leader bigint NOT NULL,
    digest text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX flights_leader ON millrace.flights (leader);
COMMENT ON TABLE millrace.flights IS 'Jobs that are being computed and have or may get followers.';
COMMENT ON COLUMN millrace.flights.key IS 'millrace.reuse_key of the job.';
COMMENT ON COLUMN millrace.flights.leader IS 'The job that is computed.';
COMMENT ON COLUMN millrace.flights.digest IS 'Digest of its model, as registered when it was claimed.';

CREATE TABLE millrace.followers (
    job_id bigint PRIMARY KEY,
    key    bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX followers_key ON millrace.followers (key, job_id);
COMMENT ON TABLE millrace.followers IS 'Jobs that wait for the result of an equal one. They are scheduled for no time at all, so what ends a scheduled job ends them.';
COMMENT ON COLUMN millrace.followers.job_id IS 'The job.';
COMMENT ON COLUMN millrace.followers.key IS 'The flight that it follows.';

CREATE TABLE millrace.answers (
    key        bytea PRIMARY KEY,
    job_id     bigint NOT NULL,
    kept_until timestamptz NOT NULL,
    served     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX answers_end ON millrace.answers (kept_until);
COMMENT ON TABLE millrace.answers IS 'Results that stand for equal jobs for a while; they are in millrace.jobs.';
COMMENT ON COLUMN millrace.answers.key IS 'millrace.reuse_key of the job.';
COMMENT ON COLUMN millrace.answers.job_id IS 'The job that has the result.';
COMMENT ON COLUMN millrace.answers.kept_until IS 'Jobs that are claimed later are computed again.';
COMMENT ON COLUMN millrace.answers.served IS 'Jobs that got this result without being computed.';
GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.flights, millrace.followers, millrace.answers TO millrace_worker, millrace_admin;

CREATE FUNCTION millrace.answer_lifetime()
RETURNS interval LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$ SELECT interval '1 hour' $$;
COMMENT ON FUNCTION millrace.answer_lifetime IS 'How long a result stands for equal jobs.';

CREATE FUNCTION millrace.served_digest(model text)
RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(b.digest || '+' || m.digest, m.digest)
    FROM millrace.models m LEFT JOIN millrace.models b ON b.name = m.base WHERE m.name = model
$$;
COMMENT ON FUNCTION millrace.served_digest IS 'What model_digest of a result begins with that this model or adapter gives; NULL when it is not registered.';

-- All that decides about the bytes, and whose the job is: a result is never seen by another tenant or role. The day, since templates may print it.
CREATE FUNCTION millrace.reuse_key(job millrace.jobs, digest text)
RETURNS bytea LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT sha256(convert_to(jsonb_build_array(job.kind, job.model, digest, job.tenant, job.submitted_by,
                                               (job.created_at AT TIME ZONE 'UTC')::date, job.input)::text, 'UTF8'))
$$;
COMMENT ON FUNCTION millrace.reuse_key IS 'Equal for jobs of one tenant and role whose results are equal.';

CREATE FUNCTION millrace.join_flights(ids bigint[], tokens bigint[])
RETURNS SETOF bigint LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    asked bigint[];
    asked_tokens bigint[];
    keys bytea[];
    digests text[];
    served bigint[];
    served_tokens bigint[];
    served_keys bytea[];
    results jsonb[];
    usages jsonb[];
    answered bigint[] := '{}';
    follows bigint[];
BEGIN
    SELECT array_agg(a.id), array_agg(a.token), array_agg(a.key), array_agg(a.digest) INTO asked, asked_tokens, keys, digests
    FROM (
        SELECT j.id, g.token, d.digest, millrace.reuse_key(j, d.digest) AS key
        FROM unnest(ids, tokens) AS g(id, token)
        JOIN millrace.jobs j ON j.id = g.id AND j.id = ANY (ids)
        JOIN millrace.kinds k ON k.kind = j.kind AND k.reusable
        CROSS JOIN LATERAL millrace.served_digest(j.model) AS d(digest)
        WHERE j.cache AND j.replay_of IS NULL AND d.digest IS NOT NULL
        ORDER BY j.id OFFSET 0) AS a;
    IF asked IS NULL THEN RETURN; END IF;
    -- Rates, then limits, as where attempts end.
    PERFORM FROM millrace.rates t
    WHERE EXISTS (SELECT FROM millrace.reservations r
                  WHERE r.job_id = ANY (asked) AND r.scope = t.scope AND r.name = t.name AND r.unit = t.unit)
    ORDER BY t.scope, t.name, t.unit FOR UPDATE;
    PERFORM FROM millrace.limits l
    WHERE EXISTS (SELECT FROM millrace.slots s WHERE s.job_id = ANY (asked) AND s.scope = l.scope AND s.name = l.name)
    ORDER BY l.scope, l.name FOR UPDATE;
    -- Locked in one order, and looked at only afterwards: what is decided about a key is decided by one transaction at a time.
    INSERT INTO millrace.flights AS f (key, leader, digest)
    SELECT DISTINCT ON (a.key) a.key, a.id, a.digest FROM unnest(asked, keys, digests) AS a(id, key, digest) ORDER BY a.key, a.id
    ON CONFLICT (key) DO UPDATE SET digest = f.digest;

    SELECT array_agg(a.id), array_agg(a.token), array_agg(a.key), array_agg(j.result), array_agg(coalesce(j.usage, '{}') || '{"cached_result": true}')
    INTO served, served_tokens, served_keys, results, usages
    FROM unnest(asked, asked_tokens, keys) AS a(id, token, key)
    JOIN millrace.answers n ON n.key = a.key AND n.key = ANY (keys) AND n.kept_until > clock_timestamp()
    JOIN millrace.jobs j ON j.id = n.job_id AND j.state = 'succeeded' AND j.id <> a.id;
    IF served IS NOT NULL THEN
        DELETE FROM millrace.flights f WHERE f.key = ANY (served_keys) AND f.leader = ANY (served);
        SELECT coalesce(array_agg(c.job_id), '{}') INTO answered
        FROM millrace.complete(served, served_tokens, array_fill('succeeded'::text, ARRAY[cardinality(served)]), results,
            array_fill(NULL::jsonb, ARRAY[cardinality(served)]), usages, array_fill(0::float8, ARRAY[cardinality(served)])) c;
        UPDATE millrace.answers n SET served = n.served + s.jobs
        FROM (SELECT a.key, count(*) AS jobs FROM unnest(served, served_keys) AS a(id, key) WHERE a.id = ANY (answered) GROUP BY a.key) AS s
        WHERE n.key = s.key AND n.key = ANY (served_keys);
    END IF;

    -- A leader that lost its worker, or is to be tried again, leads no more: the first that runs does.
    UPDATE millrace.flights f SET leader = a.id, digest = a.digest
    FROM (SELECT DISTINCT ON (u.key) u.key, u.id, u.digest FROM unnest(asked, keys, digests) AS u(id, key, digest)
          WHERE served IS NULL OR u.id <> ALL (served) ORDER BY u.key, u.id) AS a
    WHERE f.key = a.key AND f.key = ANY (keys) AND f.leader <> a.id
      AND NOT EXISTS (SELECT FROM millrace.leases l WHERE l.job_id = f.leader);

    SELECT array_agg(c.job_id) INTO follows
    FROM (SELECT array_agg(a.id) AS ids, array_agg(a.token) AS tokens
          FROM unnest(asked, asked_tokens, keys) AS a(id, token, key) JOIN millrace.flights f ON f.key = a.key
          WHERE (served IS NULL OR a.id <> ALL (served)) AND f.leader <> a.id) AS w
    CROSS JOIN LATERAL millrace.complete(w.ids, w.tokens, array_fill('released'::text, ARRAY[cardinality(w.ids)]),
        array_fill(NULL::jsonb, ARRAY[cardinality(w.ids)]), array_fill(NULL::jsonb, ARRAY[cardinality(w.ids)]),
        array_fill(NULL::jsonb, ARRAY[cardinality(w.ids)]), array_fill(1::float8, ARRAY[cardinality(w.ids)])) c
    WHERE w.ids IS NOT NULL;
    IF follows IS NOT NULL THEN
        -- Those that a client wanted to stop have ended.
        WITH waiting AS (
            UPDATE millrace.scheduled s SET run_at = 'infinity' WHERE s.job_id = ANY (follows) RETURNING s.job_id
        )
        INSERT INTO millrace.followers (job_id, key)
        SELECT a.id, a.key FROM unnest(asked, keys) AS a(id, key) WHERE a.id = ANY (ARRAY(SELECT job_id FROM waiting));
    END IF;
    RETURN QUERY SELECT unnest(answered || follows);
END
$$;
COMMENT ON FUNCTION millrace.join_flights IS 'Of these claimed jobs, those that need not be run: an equal one has its result, which they get, or runs, which they follow from now on.';

CREATE FUNCTION millrace.free_followers(of_keys bytea[])
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    freed bigint[];
BEGIN
    -- First out of the table that others take them from, too.
    WITH taken AS (
        DELETE FROM millrace.scheduled s
        WHERE s.job_id = ANY (ARRAY(SELECT job_id FROM millrace.followers WHERE key = ANY (of_keys) ORDER BY job_id)) RETURNING s.job_id
    )
    SELECT array_agg(job_id) INTO freed FROM taken;
    IF freed IS NULL THEN RETURN 0; END IF;
    DELETE FROM millrace.followers WHERE job_id = ANY (freed);
    UPDATE millrace.jobs SET state = 'ready' WHERE id = ANY (freed);
    PERFORM millrace.put_in_line(freed);
    RETURN cardinality(freed);
END
$$;
COMMENT ON FUNCTION millrace.free_followers IS 'Puts the followers of these flights back in line; answers how many.';

CREATE FUNCTION millrace.land_flights(ended bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    landed bytea[];
    leaders bigint[];
    follows bigint[];
    ids bigint[];
    follower_keys bytea[];
BEGIN
    DELETE FROM millrace.followers WHERE job_id = ANY (ended);
    -- Who joined before the row was locked is seen below, who comes later finds the answer.
    WITH gone AS (
        DELETE FROM millrace.flights f
        WHERE f.key = ANY (ARRAY(SELECT o.key FROM millrace.flights o WHERE o.leader = ANY (ended) ORDER BY o.key FOR UPDATE))
        RETURNING f.key, f.leader, f.digest
    ), kept AS (
        INSERT INTO millrace.answers AS n (key, job_id, kept_until)
        SELECT g.key, g.leader, clock_timestamp() + millrace.answer_lifetime()
        FROM gone g JOIN millrace.jobs j ON j.id = g.leader AND j.id = ANY (ended)
        -- A worker may still have had the bytes of before in memory.
        WHERE j.state = 'succeeded' AND (j.result ->> 'model_digest' = g.digest OR starts_with(j.result ->> 'model_digest', g.digest || '+'))
          AND length(j.result::text) <= 1048576
        ON CONFLICT (key) DO UPDATE SET job_id = EXCLUDED.job_id, kept_until = EXCLUDED.kept_until, served = 0
    )
    SELECT array_agg(key), array_agg(leader) INTO landed, leaders FROM gone;
    IF landed IS NULL THEN RETURN; END IF;

    -- At most so many in the transaction of their leader; the others find the answer when they are claimed.
    WITH taken AS (
        DELETE FROM millrace.scheduled s WHERE s.job_id = ANY (ARRAY(
            SELECT w.job_id FROM unnest(landed, leaders) AS g(key, leader) JOIN millrace.followers w ON w.key = g.key AND w.key = ANY (landed)
            JOIN millrace.jobs j ON j.id = g.leader AND j.id = ANY (ended) WHERE j.state = 'succeeded' ORDER BY w.job_id LIMIT 1000))
        RETURNING s.job_id
    )
    SELECT array_agg(job_id) INTO follows FROM taken;
    IF follows IS NOT NULL THEN
        SELECT array_agg(w.job_id ORDER BY w.job_id), array_agg(w.key ORDER BY w.job_id) INTO ids, follower_keys
        FROM millrace.followers w WHERE w.job_id = ANY (follows);
        PERFORM millrace.end_jobs(array_agg(a.id), array_agg('succeeded'::text), array_agg(j.result), array_agg(NULL::jsonb),
                                  array_agg(coalesce(j.usage, '{}') || '{"cached_result": true}'))
        FROM unnest(ids, follower_keys) AS a(id, key) JOIN unnest(landed, leaders) AS g(key, leader) ON g.key = a.key
        JOIN millrace.jobs j ON j.id = g.leader AND j.id = ANY (ended);
        UPDATE millrace.answers n SET served = n.served + s.jobs
        FROM (SELECT a.key, count(*) AS jobs FROM unnest(follower_keys) AS a(key) GROUP BY a.key) AS s
        WHERE n.key = s.key AND n.key = ANY (landed);
    END IF;
    PERFORM millrace.free_followers(landed);
END
$$;
COMMENT ON FUNCTION millrace.land_flights IS 'These jobs have ended: followers of those that succeeded get the result, others stand in line again.';

CREATE FUNCTION millrace.tend_flights(maximum integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    stranded bytea[];
BEGIN
    DELETE FROM millrace.answers WHERE key = ANY (ARRAY(
        SELECT key FROM millrace.answers WHERE kept_until <= clock_timestamp() ORDER BY kept_until LIMIT maximum FOR UPDATE SKIP LOCKED));
    IF NOT EXISTS (SELECT FROM millrace.followers) THEN RETURN 0; END IF;
    SELECT array_agg(key) INTO stranded FROM (
        SELECT f.key FROM millrace.flights f
        WHERE NOT EXISTS (SELECT FROM millrace.leases l WHERE l.job_id = f.leader)
          AND EXISTS (SELECT FROM millrace.followers w WHERE w.key = f.key)
        ORDER BY f.key LIMIT maximum FOR UPDATE OF f SKIP LOCKED) AS f;
    RETURN CASE WHEN stranded IS NULL THEN 0 ELSE millrace.free_followers(stranded) END;
END
$$;
COMMENT ON FUNCTION millrace.tend_flights IS 'Puts followers of leaders that don''t run in line again, so that one of them leads, and forgets old answers; answers how many followers.';

CREATE OR REPLACE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT FROM millrace.dependencies d WHERE d.needs = ANY (ids)) THEN PERFORM millrace.release_dependants(ids); END IF;
    PERFORM millrace.land_flights(ids);
END
$$;

CREATE FUNCTION millrace.reuse()
RETURNS TABLE (in_flight bigint, following bigint, answers bigint, served bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT (SELECT count(*) FROM millrace.flights f WHERE EXISTS (SELECT FROM millrace.leases l WHERE l.job_id = f.leader)),
           (SELECT count(*) FROM millrace.followers), count(*), coalesce(sum(n.served), 0)::bigint
    FROM millrace.answers n
$$;
COMMENT ON FUNCTION millrace.reuse IS 'Jobs that run and may be followed, those that follow, results that stand for others, and the jobs that got one of these without being computed.';

CREATE FUNCTION millrace.fsck_reuse()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT s.job_id, 'waits for no time, but follows no job' FROM millrace.scheduled s
    WHERE s.run_at = 'infinity' AND NOT EXISTS (SELECT FROM millrace.followers w WHERE w.job_id = s.job_id)
    UNION ALL
    SELECT w.job_id, 'follows a job, but does not wait for it' FROM millrace.followers w
    WHERE NOT EXISTS (SELECT FROM millrace.scheduled s WHERE s.job_id = w.job_id AND s.run_at = 'infinity')
    UNION ALL
    SELECT w.job_id, 'follows a job that leads no more' FROM millrace.followers w
    WHERE NOT EXISTS (SELECT FROM millrace.flights f WHERE f.key = w.key)
    UNION ALL
    SELECT f.leader, 'leads others, but has ended' FROM millrace.flights f
    WHERE NOT EXISTS (SELECT FROM millrace.jobs j WHERE j.id = f.leader AND j.finished_at IS NULL)
$$;
COMMENT ON FUNCTION millrace.fsck_reuse IS 'Contradictions between jobs that are computed and those that wait for them.';
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
    UNION ALL SELECT * FROM millrace.fsck_batches() UNION ALL SELECT * FROM millrace.fsck_rates()
    UNION ALL SELECT * FROM millrace.fsck_reuse()
$$;

CREATE FUNCTION millrace.replay(job bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    found_job millrace.jobs;
    again bigint;
BEGIN
    SELECT * INTO found_job FROM millrace.jobs WHERE id = job;
    IF found_job.id IS NULL OR NOT (found_job.submitted_by = session_user OR pg_has_role(session_user, 'millrace_admin', 'MEMBER')) THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('id: there is no job %s', job);
    END IF;
    IF found_job.state <> 'succeeded' THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('id: job %s is %s; only a result can be compared', job, found_job.state);
    END IF;
    -- With its created_at, since templates may print the date.
    INSERT INTO millrace.jobs (kind, model, input, queue, priority, max_attempts, tenant, metadata, retry_policy, retry_delay,
                               max_worker_deaths, limit_key, created_at, replay_of)
    VALUES (found_job.kind, found_job.model, found_job.input, found_job.queue, found_job.priority, found_job.max_attempts, found_job.tenant,
            found_job.metadata, found_job.retry_policy, found_job.retry_delay, found_job.max_worker_deaths, found_job.limit_key,
            found_job.created_at, job)
    RETURNING id INTO again;
    RETURN again;
END
$$;
COMMENT ON FUNCTION millrace.replay IS 'Inserts a succeeded job once more, its created_at too, to compare the results; answers with the new job.';

REVOKE ALL ON FUNCTION millrace.answer_lifetime(), millrace.served_digest(text), millrace.reuse_key(millrace.jobs, text),
    millrace.join_flights(bigint[], bigint[]), millrace.free_followers(bytea[]), millrace.land_flights(bigint[]), millrace.tend_flights(integer),
    millrace.reuse(), millrace.fsck_reuse(), millrace.replay(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.answer_lifetime(), millrace.served_digest(text), millrace.reuse_key(millrace.jobs, text),
    millrace.join_flights(bigint[], bigint[]), millrace.free_followers(bytea[]), millrace.land_flights(bigint[]), millrace.tend_flights(integer)
    TO millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.reuse(), millrace.fsck_reuse() TO millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.replay(bigint) TO millrace_client, millrace_worker, millrace_admin;
