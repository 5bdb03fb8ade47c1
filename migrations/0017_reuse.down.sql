-- Followers would wait for ever.
SELECT millrace.free_followers(ARRAY(SELECT key FROM millrace.followers));
CREATE OR REPLACE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT FROM millrace.dependencies d WHERE d.needs = ANY (ids)) THEN PERFORM millrace.release_dependants(ids); END IF;
END
$$;
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
    UNION ALL SELECT * FROM millrace.fsck_batches() UNION ALL SELECT * FROM millrace.fsck_rates()
$$;
DROP FUNCTION millrace.replay(bigint), millrace.fsck_reuse(), millrace.reuse(), millrace.tend_flights(integer),
    millrace.land_flights(bigint[]), millrace.free_followers(bytea[]), millrace.join_flights(bigint[], bigint[]),
    millrace.reuse_key(millrace.jobs, text), millrace.served_digest(text), millrace.answer_lifetime();
DROP TABLE millrace.answers, millrace.followers, millrace.flights;
ALTER TABLE millrace.jobs DROP COLUMN replay_of, DROP COLUMN cache;
ALTER TABLE millrace.kinds DROP COLUMN reusable;
