-- The version before goes on from whole texts: what was written is computed again.
DELETE FROM millrace.partials p WHERE EXISTS (SELECT FROM millrace.chunks c WHERE c.job_id = p.job_id);
CREATE OR REPLACE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT FROM millrace.dependencies d WHERE d.needs = ANY (ids)) THEN PERFORM millrace.release_dependants(ids); END IF;
    PERFORM millrace.land_flights(ids);
END
$$;
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
    UNION ALL SELECT * FROM millrace.fsck_batches() UNION ALL SELECT * FROM millrace.fsck_rates()
    UNION ALL SELECT * FROM millrace.fsck_reuse()
$$;
DROP FUNCTION millrace.fsck_streams(), millrace.end_streams(bigint[]), millrace.read_stream(bigint, bigint),
    millrace.after_byte(text, bigint), millrace.written(bigint[]),
    millrace.append_chunks(bigint[], bigint[], integer[], bigint[], text[], text[], text[]);
DROP TABLE millrace.chunks;
COMMENT ON COLUMN millrace.partials.progress IS 'For generate: {"text","tokens"}.';
