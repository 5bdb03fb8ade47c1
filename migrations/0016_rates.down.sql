UPDATE millrace.ready SET waits_scope = NULL, waits_name = NULL WHERE waits_scope NOT IN ('queue', 'tenant', 'key');
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
    UNION ALL SELECT * FROM millrace.fsck_batches()
$$;
DROP FUNCTION millrace.fsck_rates();
DROP FUNCTION millrace.remove_rate(text, text, text), millrace.set_rate(text, text, text, double precision, double precision), millrace.use_rates();
CREATE OR REPLACE FUNCTION millrace.after_attempts(ended millrace.ended_attempt[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NULL;
END
$$;
CREATE OR REPLACE FUNCTION millrace.admit(candidates bigint[], maximum integer, patient boolean)
RETURNS bigint[] LANGUAGE sql SET search_path = pg_catalog AS $$ SELECT millrace.within_limits(candidates, maximum, patient) $$;
COMMENT ON FUNCTION millrace.admit IS 'Of ready jobs that the caller has locked, in this order, up to maximum that nothing keeps from running.';
CREATE OR REPLACE FUNCTION millrace.is_governed()
RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (SELECT FROM millrace.limits);
END
$$;
DROP FUNCTION millrace.charges(bigint[]), millrace.cost_of(text, jsonb), millrace.level(millrace.rates);
DROP TYPE millrace.charge;
DROP TABLE millrace.reservations, millrace.rates;
