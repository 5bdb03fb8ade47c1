-- quantize: a model in fewer bits, as a job. The models that come of it know which one they were made of.

ALTER TABLE millrace.models ADD COLUMN parent_digest text CHECK (parent_digest ~ '^[0-9a-f]{64}$');
COMMENT ON COLUMN millrace.models.parent_digest IS 'SHA-256 of the model that this one was made of by a quantize job; NULL for one that was not.';

CREATE FUNCTION millrace.quantize_error(input jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    field text;
    message text;
BEGIN
    FOR field IN SELECT jsonb_object_keys(jsonb_strip_nulls(input)) LOOP
        message := CASE field
            WHEN 'to' THEN CASE WHEN coalesce(input ->> field, '') NOT IN ('f16', 'int8', 'int4') THEN 'input.to: must be f16, int8 or int4' END
            WHEN 'name' THEN coalesce(millrace.input_error(input, field, 'string', 0, 0),
                CASE WHEN input ->> field !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$'
                     THEN 'input.name: must be 1 to 200 letters, digits, ''.'', ''_'' and ''-''' END)
            WHEN 'text' THEN coalesce(millrace.input_error(input, field, 'string', 0, 0),
                CASE WHEN input ->> field = '' THEN 'input.text: must not be empty' END)
            ELSE format('input.%s: unknown field', left(field, 60))
        END;
        IF message IS NOT NULL THEN RETURN message; END IF;
    END LOOP;
    RETURN CASE WHEN input ->> 'to' IS NULL THEN 'input.to: missing: f16, int8 or int4' END;
END
$$;
COMMENT ON FUNCTION millrace.quantize_error IS 'Why the input of a quantize job is refused, beginning with the field''s name; NULL when it is good.';

REVOKE ALL ON FUNCTION millrace.quantize_error(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.quantize_error(jsonb) TO millrace_worker, millrace_admin;

INSERT INTO millrace.kinds VALUES ('quantize', true);
