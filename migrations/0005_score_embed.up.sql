-- Two kinds beside generate: score (log-likelihoods) and embed (vectors). And the rule by which a kind has its input
-- checked at INSERT: a function millrace.<kind>_error(input jsonb), if there is one. So a kind is a row of millrace.kinds
-- and a function; nothing that other kinds share has to be changed for it.

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

CREATE FUNCTION millrace.texts_error(texts jsonb, field text, most integer)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN jsonb_typeof(texts) <> 'array' THEN format('input.%s: must be an array of strings, is %s', field, jsonb_typeof(texts))
        WHEN jsonb_array_length(texts) NOT BETWEEN 1 AND most
            THEN format('input.%s: must have 1 to %s strings, has %s', field, most, jsonb_array_length(texts))
        ELSE (
            SELECT format('input.%s[%s]: %s', field, place - 1,
                CASE WHEN jsonb_typeof(entry) = 'string' THEN 'must not be empty' ELSE 'must be a string, is ' || jsonb_typeof(entry) END)
            FROM jsonb_array_elements(texts) WITH ORDINALITY AS line(entry, place)
            WHERE jsonb_typeof(entry) <> 'string' OR entry = '""'
            ORDER BY place LIMIT 1)
    END
$$;
COMMENT ON FUNCTION millrace.texts_error IS 'Why a field is no array of 1 to so many strings that are not empty; NULL when it is.';

CREATE FUNCTION millrace.score_error(input jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    field text;
    message text;
    has_text boolean := coalesce(jsonb_typeof(input -> 'text'), 'null') <> 'null';
BEGIN
    FOR field IN SELECT jsonb_object_keys(jsonb_strip_nulls(input)) LOOP
        message := CASE field
            WHEN 'prompt' THEN millrace.input_error(input, field, 'string', 0, 0)
            WHEN 'messages' THEN millrace.messages_error(input -> field)
            WHEN 'continuations' THEN millrace.texts_error(input -> field, field, 256)
            WHEN 'text' THEN millrace.input_error(input, field, 'string', 0, 0)
            WHEN 'window' THEN millrace.input_error(input, field, 'integer', 2, 10000000)
            WHEN 'stride' THEN millrace.input_error(input, field, 'integer', 1, 10000000)
            WHEN 'logprobs' THEN CASE WHEN jsonb_typeof(input -> field) <> 'boolean' THEN millrace.input_error(input, field, 'integer', 0, 20) END
            ELSE format('input.%s: unknown field', left(field, 60))
        END;
        IF message IS NULL THEN
            message := CASE
                WHEN has_text AND field IN ('prompt', 'messages', 'continuations')
                    THEN format('input.%s: goes with continuations, not with text', field)
                WHEN NOT has_text AND field IN ('window', 'stride') THEN format('input.%s: goes with text, not with continuations', field)
            END;
        END IF;
        IF message IS NOT NULL THEN RETURN message; END IF;
    END LOOP;
    RETURN CASE
        WHEN has_text THEN CASE
            WHEN input ->> 'text' = '' THEN 'input.text: must not be empty'
            WHEN (input ->> 'stride')::numeric > (input ->> 'window')::numeric THEN 'input.stride: must not be more than window' END
        WHEN input ->> 'continuations' IS NULL THEN 'input.continuations: missing: a job needs continuations or text'
        WHEN input ->> 'prompt' IS NULL AND input ->> 'messages' IS NULL THEN 'input.prompt: missing: continuations need prompt or messages'
        WHEN input ->> 'prompt' IS NOT NULL AND input ->> 'messages' IS NOT NULL
            THEN 'input.messages: a job has either prompt or messages, not both'
    END;
END
$$;
COMMENT ON FUNCTION millrace.score_error IS 'Why the input of a score job is refused, beginning with the field''s name; NULL when it is good.';

CREATE FUNCTION millrace.embed_error(input jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    field text;
    message text;
BEGIN
    FOR field IN SELECT jsonb_object_keys(jsonb_strip_nulls(input)) LOOP
        message := CASE field
            WHEN 'input' THEN CASE
                WHEN input -> field = '""' THEN 'input.input: must not be empty'
                WHEN jsonb_typeof(input -> field) = 'array' THEN millrace.texts_error(input -> field, field, 256)
                WHEN jsonb_typeof(input -> field) <> 'string'
                    THEN format('input.input: must be a string or an array of strings, is %s', jsonb_typeof(input -> field)) END
            WHEN 'pooling' THEN CASE WHEN input ->> field NOT IN ('mean', 'last') THEN 'input.pooling: must be mean or last' END
            WHEN 'normalize' THEN millrace.input_error(input, field, 'boolean', 0, 0)
            ELSE format('input.%s: unknown field', left(field, 60))
        END;
        IF message IS NOT NULL THEN RETURN message; END IF;
    END LOOP;
    RETURN CASE WHEN input ->> 'input' IS NULL THEN 'input.input: missing: a job needs one text or several' END;
END
$$;
COMMENT ON FUNCTION millrace.embed_error IS 'Why the input of an embed job is refused, beginning with the field''s name; NULL when it is good.';

REVOKE ALL ON FUNCTION millrace.kind_error(text, jsonb), millrace.texts_error(jsonb, text, integer), millrace.score_error(jsonb),
    millrace.embed_error(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.kind_error(text, jsonb), millrace.texts_error(jsonb, text, integer), millrace.score_error(jsonb),
    millrace.embed_error(jsonb) TO millrace_worker, millrace_admin;

INSERT INTO millrace.kinds VALUES ('score', true), ('embed', true);
