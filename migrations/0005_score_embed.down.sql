DELETE FROM millrace.kinds WHERE kind IN ('score', 'embed');
DROP FUNCTION millrace.embed_error(jsonb);
DROP FUNCTION millrace.score_error(jsonb);
DROP FUNCTION millrace.texts_error(jsonb, text, integer);
-- As in 0002.
CREATE OR REPLACE FUNCTION millrace.job_error(kind text, needs_model boolean, model text, is_registered boolean, input jsonb)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN needs_model IS NULL THEN format('kind: unknown kind "%s"', left(kind, 60))
        WHEN needs_model AND model = '' THEN format('model: a %s job must name a model', kind)
        WHEN needs_model AND NOT is_registered THEN format('model: "%s" is not registered (jobctl model list shows those that are)', left(model, 200))
        WHEN NOT needs_model AND model <> '' THEN format('model: a %s job has no model', kind)
        WHEN jsonb_typeof(input) <> 'object' THEN format('input: must be an object, is %s', jsonb_typeof(input))
        WHEN pg_column_size(input) > millrace.input_bytes() THEN format('input: %s bytes are more than %s', pg_column_size(input), millrace.input_bytes())
        WHEN kind = 'generate' THEN millrace.generate_error(input)
    END
$$;
DROP FUNCTION millrace.kind_error(text, jsonb);
