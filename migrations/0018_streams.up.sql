-- What a running job has written so far, as pieces that are only ever added: storing costs by what is new, another worker
-- goes on where the last piece ends, and a reader can come back to any place.

CREATE TABLE millrace.chunks (
    job_id      bigint NOT NULL,
    first_token integer NOT NULL CHECK (first_token >= 0),
    first_byte  bigint NOT NULL CHECK (first_byte >= 0),
    run_token   bigint NOT NULL,
    tokens      integer[] NOT NULL,
    text        text NOT NULL,
    PRIMARY KEY (job_id, first_token)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE millrace.chunks IS 'What running jobs have written; goes when the job ends, for then the result has it.';
COMMENT ON COLUMN millrace.chunks.job_id IS 'The job.';
COMMENT ON COLUMN millrace.chunks.first_token IS 'Tokens before it.';
COMMENT ON COLUMN millrace.chunks.first_byte IS 'Bytes of text, in UTF-8, before it.';
COMMENT ON COLUMN millrace.chunks.run_token IS 'Attempt that wrote it.';
COMMENT ON COLUMN millrace.chunks.tokens IS 'Ids of its tokens.';
COMMENT ON COLUMN millrace.chunks.text IS 'The text that became certain with them: whole characters, without what may be the beginning of a stop string.';
COMMENT ON COLUMN millrace.partials.progress IS 'What the kind makes of it; for generate {"model_digest"}, and the rest is in millrace.chunks.';
GRANT SELECT ON millrace.chunks TO millrace_client;
GRANT SELECT, INSERT, UPDATE, DELETE ON millrace.chunks TO millrace_worker, millrace_admin;
ALTER TABLE millrace.chunks ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_chunks ON millrace.chunks FOR SELECT TO millrace_client
    USING (EXISTS (SELECT FROM millrace.jobs j WHERE j.id = job_id));
CREATE POLICY all_chunks ON millrace.chunks TO millrace_worker, millrace_admin USING (true) WITH CHECK (true);

-- Sent again when the answer was lost: what is there already is left as it is.
CREATE FUNCTION millrace.append_chunks(ids bigint[], run_tokens bigint[], first_tokens integer[], first_bytes bigint[], tokens text[],
                                       texts text[], digests text[])
RETURNS TABLE (job_id bigint, cancel_requested boolean)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    held bigint[];
    cancelled boolean[];
BEGIN
    -- The lock keeps the attempt from ending before its pieces are stored.
    SELECT coalesce(array_agg(l.job_id), '{}'), array_agg(l.cancel_requested) INTO held, cancelled FROM (
        SELECT l.job_id, l.cancel_requested
        FROM unnest(ids, run_tokens) AS g(job_id, run_token)
        JOIN millrace.leases l ON l.job_id = g.job_id AND l.run_token = g.run_token AND l.job_id = ANY (ids)
        ORDER BY l.job_id FOR SHARE OF l) AS l;
    -- An attempt that begins at the beginning writes another text, for its model has other bytes.
    IF 0 = ANY (first_tokens) THEN
        DELETE FROM millrace.chunks c USING unnest(ids, run_tokens, first_tokens) AS g(job_id, run_token, first_token)
        WHERE c.job_id = g.job_id AND c.job_id = ANY (held) AND g.first_token = 0 AND c.run_token <> g.run_token;
        INSERT INTO millrace.partials AS p (job_id, run_token, progress)
        SELECT g.job_id, g.run_token, jsonb_build_object('model_digest', g.digest)
        FROM unnest(ids, run_tokens, first_tokens, digests) AS g(job_id, run_token, first_token, digest)
        WHERE g.job_id = ANY (held) AND g.first_token = 0 ORDER BY g.job_id
        ON CONFLICT (job_id) DO UPDATE SET run_token = EXCLUDED.run_token, progress = EXCLUDED.progress, updated_at = clock_timestamp();
    END IF;
    INSERT INTO millrace.chunks (job_id, first_token, first_byte, run_token, tokens, text)
    SELECT g.job_id, g.first_token, g.first_byte, g.run_token, g.tokens::integer[], g.text
    FROM unnest(ids, run_tokens, first_tokens, first_bytes, tokens, texts) AS g(job_id, run_token, first_token, first_byte, tokens, text)
    WHERE g.job_id = ANY (held) ORDER BY g.job_id
    ON CONFLICT (job_id, first_token) DO NOTHING;
    RETURN QUERY SELECT * FROM unnest(held, cancelled);
END
$$;
COMMENT ON FUNCTION millrace.append_chunks IS 'Stores what running jobs have written since their last piece; answers as report_progress does.';

CREATE FUNCTION millrace.written(ids bigint[])
RETURNS TABLE (job_id bigint, tokens integer[], text text) LANGUAGE sql STABLE SET search_path = pg_catalog SET enable_seqscan = off AS $$
    SELECT c.job_id, array_agg(t.token ORDER BY c.first_token, t.place), (
        SELECT string_agg(o.text, '' ORDER BY o.first_token) FROM millrace.chunks o WHERE o.job_id = c.job_id)
    FROM millrace.chunks c CROSS JOIN LATERAL unnest(c.tokens) WITH ORDINALITY AS t(token, place)
    WHERE c.job_id = ANY (ids) GROUP BY c.job_id
$$;
COMMENT ON FUNCTION millrace.written IS 'All that these jobs have written so far.';

CREATE FUNCTION millrace.after_byte(text text, skipped bigint)
RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    IF skipped <= 0 THEN RETURN text; END IF;
    RETURN convert_from(substr(convert_to(text, 'UTF8'), least(skipped, 2000000000)::integer + 1), 'UTF8');
EXCEPTION WHEN character_not_in_repertoire THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'after_offset: is inside a character';
END
$$;
COMMENT ON FUNCTION millrace.after_byte IS 'The text without its first bytes in UTF-8.';

-- STABLE, so that both looks see one moment: before the job's end its text is in the pieces, from then on in the result.
CREATE FUNCTION millrace.read_stream(job bigint, after_offset bigint DEFAULT 0,
                                     OUT text text, OUT next_offset bigint, OUT ended boolean, OUT state text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET enable_seqscan = off AS $$
DECLARE
    whole text;
BEGIN
    IF after_offset IS NULL OR after_offset < 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'after_offset: must be 0 or more';
    END IF;
    SELECT j.state, j.finished_at IS NOT NULL, coalesce(j.result ->> 'text', '') INTO state, ended, whole FROM millrace.jobs j WHERE j.id = job;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('id: there is no job %s', job);
    END IF;
    IF ended THEN
        text := millrace.after_byte(whole, after_offset);
    ELSE
        SELECT coalesce(string_agg(millrace.after_byte(c.text, after_offset - c.first_byte), '' ORDER BY c.first_token), '') INTO text
        FROM (SELECT * FROM millrace.chunks c WHERE c.job_id = job AND c.first_byte + octet_length(c.text) > after_offset) AS c;
    END IF;
    next_offset := after_offset + octet_length(text);
END
$$;
COMMENT ON FUNCTION millrace.read_stream IS 'The text of a generate job behind so many bytes of it, as far as it is stored; where to go on reading; and whether that was all.';

CREATE FUNCTION millrace.end_streams(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    DELETE FROM millrace.chunks WHERE job_id = ANY (ids);
END
$$;
COMMENT ON FUNCTION millrace.end_streams IS 'These jobs have ended: their text is in the result.';

CREATE OR REPLACE FUNCTION millrace.after_end(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT FROM millrace.dependencies d WHERE d.needs = ANY (ids)) THEN PERFORM millrace.release_dependants(ids); END IF;
    PERFORM millrace.land_flights(ids);
    PERFORM millrace.end_streams(ids);
END
$$;

CREATE FUNCTION millrace.fsck_streams()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT c.job_id, 'what it has written is kept, but the job has ended' FROM millrace.chunks c
    WHERE NOT EXISTS (SELECT FROM millrace.jobs j WHERE j.id = c.job_id AND j.finished_at IS NULL) AND c.first_token = 0
    UNION ALL
    SELECT c.job_id, format('what it has written has a gap before token %s', c.first_token)
    FROM (SELECT o.*, lag(o.first_token + cardinality(o.tokens), 1, 0) OVER earlier AS token,
                 lag(o.first_byte + octet_length(o.text), 1, 0::bigint) OVER earlier AS byte
          FROM millrace.chunks o WINDOW earlier AS (PARTITION BY o.job_id ORDER BY o.first_token)) AS c
    WHERE c.first_token <> c.token OR c.first_byte <> c.byte
$$;
COMMENT ON FUNCTION millrace.fsck_streams IS 'Contradictions in what running jobs have written.';
CREATE OR REPLACE FUNCTION millrace.fsck()
RETURNS TABLE (job_id bigint, fault text) LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT * FROM millrace.fsck_jobs() UNION ALL SELECT * FROM millrace.fsck_limits() UNION ALL SELECT * FROM millrace.fsck_dependencies()
    UNION ALL SELECT * FROM millrace.fsck_batches() UNION ALL SELECT * FROM millrace.fsck_rates()
    UNION ALL SELECT * FROM millrace.fsck_reuse() UNION ALL SELECT * FROM millrace.fsck_streams()
$$;

REVOKE ALL ON FUNCTION millrace.append_chunks(bigint[], bigint[], integer[], bigint[], text[], text[], text[]), millrace.written(bigint[]),
    millrace.after_byte(text, bigint), millrace.read_stream(bigint, bigint), millrace.end_streams(bigint[]),
    millrace.fsck_streams() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.append_chunks(bigint[], bigint[], integer[], bigint[], text[], text[], text[]), millrace.written(bigint[]),
    millrace.end_streams(bigint[]) TO millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.after_byte(text, bigint), millrace.read_stream(bigint, bigint) TO millrace_client, millrace_worker, millrace_admin;
GRANT EXECUTE ON FUNCTION millrace.fsck_streams() TO millrace_admin;
