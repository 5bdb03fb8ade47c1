-- A kind's check may look at the job's model, too: millrace.<kind>_error(model text, input jsonb). So a quantize job whose new
-- name is taken, or whose model is an adapter, is refused before any work.

CREATE FUNCTION millrace.kind_error(kind text, model text, input jsonb)
RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    by_model regprocedure := to_regprocedure(format('millrace.%I(text, jsonb)', kind || '_error'));
    by_input regprocedure := to_regprocedure(format('millrace.%I(jsonb)', kind || '_error'));
    message text;
BEGIN
    IF by_input IS NOT NULL THEN
        EXECUTE format('SELECT %s($1)', by_input::regproc) INTO message USING input;
    END IF;
    IF by_model IS NOT NULL AND message IS NULL THEN
        EXECUTE format('SELECT %s($1, $2)', by_model::regproc) INTO message USING model, input;
    END IF;
    RETURN message;
END
$$;
COMMENT ON FUNCTION millrace.kind_error(text, text, jsonb) IS 'Why millrace.<kind>_error(jsonb), or else millrace.<kind>_error(text, jsonb) with the model, refuses an input; NULL when neither does.';

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
        WHEN kind <> 'noop' THEN millrace.kind_error(kind, model, input)
    END
$$;
DROP FUNCTION millrace.kind_error(text, jsonb);

CREATE FUNCTION millrace.quantize_error(model text, input jsonb)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN EXISTS (SELECT FROM millrace.models m WHERE m.name = model AND m.base IS NOT NULL)
        THEN format('model: "%s" is an adapter; only models are quantised', model)
        WHEN new.name = model THEN 'input.name: is the model''s own'
        WHEN EXISTS (SELECT FROM millrace.models m WHERE m.name = new.name)
        THEN format('input.name: "%s" is registered already', new.name)
    END
    FROM (VALUES (coalesce(input ->> 'name', regexp_replace(model, '^.*/', '') || '-' || (input ->> 'to')))) new (name)
$$;
COMMENT ON FUNCTION millrace.quantize_error(text, jsonb) IS 'Why a quantize job on a model is refused by its names; NULL when it is good.';
