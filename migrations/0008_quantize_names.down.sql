DROP FUNCTION millrace.quantize_error(text, jsonb);
DROP FUNCTION millrace.kind_error(text, text, jsonb);

CREATE FUNCTION millrace.kind_error(kind text, input jsonb)
RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    checker regprocedure := to_regprocedure(format('millrace.%I(jsonb)', kind || '_error'));
    message text;
BEGIN
    IF checker IS NOT NULL THEN
        EXECUTE format('SELECT %s($1)', checker::regproc) INTO message USING input;
    END IF;
    RETURN message;
END
$$;
COMMENT ON FUNCTION millrace.kind_error IS 'Why millrace.<kind>_error(jsonb) refuses an input; NULL when it does not or there is no such function.';

-- generate and noop are known here because they come by the million and an EXECUTE costs more than the check.
CREATE OR REPLACE FUNCTION millrace.job_error(kind text, needs_model boolean, model text, is_registered boolean, input jsonb)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN needs_model IS NULL THEN format('kind: unknown kind "%s"', left(kind, 60))
        WHEN needs_model AND model = '' THEN format('model: a %s job must name a model', kind)
        WHEN needs_model AND NOT is_registered THEN format('model: "%s" is not registered (jobctl model list shows those that are)', left(model, 200))
        WHEN NOT needs_model AND model <> '' THEN format('model: a %s job has no model', kind)
        WHEN jsonb_typeof(input) <> 'object' THEN format('input: must be an object, is %s', jsonb_typeof(input))
        WHEN pg_column_size(input) > millrace.input_bytes() THEN format('input: %s bytes are more than %s', pg_column_size(input), millrace.input_bytes())
        WHEN kind = 'generate' THEN millrace.generate_error(input)
        WHEN kind <> 'noop' THEN millrace.kind_error(kind, input)
    END
$$;
