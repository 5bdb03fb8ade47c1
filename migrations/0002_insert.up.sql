-- What happens at INSERT INTO millrace.jobs: one pass over all rows of the statement checks them, puts them in line and
-- wakes workers. A statement trigger with a transition table: a row trigger would cost a call per row and a NOTIFY each.

CREATE FUNCTION millrace.input_error(input jsonb, field text, type text, lowest numeric, highest numeric)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN input -> field IS NULL OR jsonb_typeof(input -> field) = 'null' THEN NULL
        WHEN type = 'integer' AND (jsonb_typeof(input -> field) <> 'number' OR (input ->> field)::numeric % 1 <> 0)
            THEN format('input.%s: must be a whole number, is %s', field, left(input ->> field, 40))
        WHEN type <> 'integer' AND jsonb_typeof(input -> field) <> type
            THEN format('input.%s: must be a %s, is %s', field, type, jsonb_typeof(input -> field))
        WHEN type IN ('integer', 'number') AND NOT (input ->> field)::numeric BETWEEN lowest AND highest
            THEN format('input.%s: must be %s to %s, is %s', field, lowest, highest, left(input ->> field, 40))
    END
$$;
COMMENT ON FUNCTION millrace.input_error IS 'Why a field of an input is not of this type and range; NULL when it is or is missing.';

CREATE FUNCTION millrace.messages_error(messages jsonb)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN jsonb_typeof(messages) <> 'array' THEN format('input.messages: must be an array, is %s', jsonb_typeof(messages))
        WHEN jsonb_array_length(messages) = 0 THEN 'input.messages: must not be empty'
        ELSE (
            SELECT CASE
                WHEN jsonb_typeof(message) <> 'object'
                    THEN format('input.messages[%s]: must be an object, is %s', place - 1, jsonb_typeof(message))
                WHEN jsonb_typeof(message -> 'role') IS DISTINCT FROM 'string'
                    THEN format('input.messages[%s].role: must be a string', place - 1)
                ELSE format('input.messages[%s].content: must be a string, an array of parts or null', place - 1)
            END
            FROM jsonb_array_elements(messages) WITH ORDINALITY AS line(message, place)
            WHERE jsonb_typeof(message) <> 'object'
               OR jsonb_typeof(message -> 'role') IS DISTINCT FROM 'string'
               OR coalesce(jsonb_typeof(message -> 'content'), 'null') NOT IN ('string', 'array', 'null')
            ORDER BY place LIMIT 1)
    END
$$;
COMMENT ON FUNCTION millrace.messages_error IS 'Why an array of chat messages is not one; NULL when it is.';

CREATE FUNCTION millrace.stop_error(stop jsonb)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN stop IS NULL OR jsonb_typeof(stop) = 'null' THEN NULL
        WHEN jsonb_typeof(stop) NOT IN ('string', 'array') THEN format('input.stop: must be a string or an array, is %s', jsonb_typeof(stop))
        WHEN jsonb_typeof(stop) = 'string' AND (stop #>> '{}') = '' THEN 'input.stop: must not be empty'
        WHEN jsonb_typeof(stop) = 'array' AND jsonb_array_length(stop) > 64 THEN 'input.stop: at most 64 strings'
        WHEN jsonb_typeof(stop) = 'array' THEN (
            SELECT format('input.stop[%s]: must be a string of 1 to 1024 bytes', place - 1)
            FROM jsonb_array_elements(stop) WITH ORDINALITY AS line(entry, place)
            WHERE jsonb_typeof(entry) <> 'string' OR octet_length(entry #>> '{}') NOT BETWEEN 1 AND 1024
            ORDER BY place LIMIT 1)
        WHEN octet_length(stop #>> '{}') > 1024 THEN 'input.stop: must be a string of 1 to 1024 bytes'
    END
$$;
COMMENT ON FUNCTION millrace.stop_error IS 'Why a stop field is not a string or an array of strings; NULL when it is or is missing.';

CREATE FUNCTION millrace.response_format_error(wanted jsonb)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN coalesce(jsonb_typeof(wanted), 'null') = 'null' THEN NULL
        WHEN jsonb_typeof(wanted) <> 'object' THEN format('input.response_format: must be an object, is %s', jsonb_typeof(wanted))
        WHEN coalesce(wanted ->> 'type', '') NOT IN ('text', 'json_object', 'json_schema')
            THEN 'input.response_format.type: must be text, json_object or json_schema'
        WHEN wanted ->> 'type' = 'json_schema' AND coalesce(jsonb_typeof(wanted #> '{json_schema,schema}'), 'null') = 'null'
            THEN 'input.response_format.json_schema.schema: missing'
    END
$$;
COMMENT ON FUNCTION millrace.response_format_error IS 'Why a response_format asks for nothing that there is; NULL when it does or is missing. The schema itself is compiled by the worker.';

CREATE FUNCTION millrace.structured_outputs_error(outputs jsonb)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN coalesce(jsonb_typeof(outputs), 'null') = 'null' THEN NULL
        WHEN jsonb_typeof(outputs) <> 'object' THEN format('input.structured_outputs: must be an object, is %s', jsonb_typeof(outputs))
        WHEN NOT outputs ?| ARRAY['regex', 'choice', 'grammar'] OR (SELECT count(*) FROM jsonb_object_keys(outputs)) <> 1
            THEN 'input.structured_outputs: must have exactly one of regex, choice and grammar'
        WHEN outputs ? 'choice' THEN CASE
            WHEN jsonb_typeof(outputs -> 'choice') <> 'array' OR outputs -> 'choice' = '[]'
                 OR jsonb_path_exists(outputs, '$.choice[*] ? (@.type() <> "string")')
            THEN 'input.structured_outputs.choice: must be a list of strings' END
        ELSE (SELECT format('input.structured_outputs.%s: must be a string, is %s', name, jsonb_typeof(value))
              FROM jsonb_each(outputs) AS member(name, value) WHERE jsonb_typeof(value) <> 'string')
    END
$$;
COMMENT ON FUNCTION millrace.structured_outputs_error IS 'Why structured_outputs asks for nothing that there is; NULL when it does or is missing. The source itself is compiled by the worker.';

-- Cheap for the usual job: the first test is one array containment, and the range checks run for fields that are there.
CREATE FUNCTION millrace.generate_error(input jsonb)
RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    field text;
    message text;
    constraint_field text;
BEGIN
    FOR field IN SELECT jsonb_object_keys(input) LOOP
        message := CASE field
            WHEN 'prompt' THEN millrace.input_error(input, field, 'string', 0, 0)
            WHEN 'messages' THEN CASE WHEN jsonb_typeof(input -> field) <> 'null' THEN millrace.messages_error(input -> field) END
            WHEN 'raw' THEN millrace.input_error(input, field, 'boolean', 0, 0)
            WHEN 'system' THEN millrace.input_error(input, field, 'string', 0, 0)
            WHEN 'tools' THEN millrace.input_error(input, field, 'array', 0, 0)
            WHEN 'max_tokens' THEN millrace.input_error(input, field, 'integer', 1, 1000000)
            WHEN 'temperature' THEN millrace.input_error(input, field, 'number', 0, 100)
            WHEN 'top_k' THEN millrace.input_error(input, field, 'integer', 0, 10000000)
            WHEN 'top_p' THEN millrace.input_error(input, field, 'number', 0.000001, 1)
            WHEN 'min_p' THEN millrace.input_error(input, field, 'number', 0, 1)
            WHEN 'repetition_penalty' THEN millrace.input_error(input, field, 'number', 0.000001, 100)
            WHEN 'presence_penalty' THEN millrace.input_error(input, field, 'number', -2, 2)
            WHEN 'frequency_penalty' THEN millrace.input_error(input, field, 'number', -2, 2)
            WHEN 'seed' THEN millrace.input_error(input, field, 'integer', -9223372036854775808, 9223372036854775807)
            WHEN 'stop' THEN millrace.stop_error(input -> field)
            WHEN 'logprobs' THEN CASE WHEN jsonb_typeof(input -> field) <> 'boolean' THEN millrace.input_error(input, field, 'integer', 0, 20) END
            WHEN 'ignore_eos' THEN millrace.input_error(input, field, 'boolean', 0, 0)
            WHEN 'response_format' THEN millrace.response_format_error(input -> field)
            WHEN 'structured_outputs' THEN millrace.structured_outputs_error(input -> field)
            ELSE format('input.%s: unknown field', left(field, 60))
        END;
        IF message IS NOT NULL THEN RETURN message; END IF;
    END LOOP;
    IF coalesce(input ->> 'prompt', '') = '' AND coalesce(jsonb_typeof(input -> 'messages'), 'null') = 'null' THEN
        RETURN CASE WHEN input ->> 'prompt' = '' THEN 'input.prompt: must not be empty'
                    ELSE 'input.prompt: missing: a job needs prompt or messages' END;
    END IF;
    IF input ->> 'prompt' IS NOT NULL AND coalesce(jsonb_typeof(input -> 'messages'), 'null') <> 'null' THEN
        RETURN 'input.messages: a job has either prompt or messages, not both';
    END IF;
    IF (input -> 'raw')::text = 'true' THEN
        IF input ->> 'prompt' IS NULL THEN RETURN 'input.raw: goes with prompt, not with messages'; END IF;
        IF input ->> 'system' IS NOT NULL OR coalesce(input -> 'tools', '[]') NOT IN ('[]', 'null') THEN
            RETURN 'input.raw: leaves no place for system and tools';
        END IF;
    END IF;
    constraint_field := CASE
        WHEN coalesce(input #>> '{response_format,type}', 'text') <> 'text' THEN 'response_format'
        WHEN input ->> 'structured_outputs' IS NOT NULL THEN 'structured_outputs' END;
    IF constraint_field = 'response_format' AND input ->> 'structured_outputs' IS NOT NULL THEN
        RETURN 'input.structured_outputs: a job has this or response_format, not both';
    ELSIF constraint_field IS NOT NULL AND coalesce(input -> 'stop', '[]') NOT IN ('[]', 'null') THEN
        RETURN format('input.stop: can''t go with %s, which says where the text ends', constraint_field);
    ELSIF constraint_field IS NOT NULL AND input -> 'ignore_eos' = 'true' THEN
        RETURN format('input.ignore_eos: can''t go with %s, which says where the text ends', constraint_field);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION millrace.generate_error IS 'Why the input of a generate job is refused, beginning with the field''s name; NULL when it is good.';

CREATE FUNCTION millrace.input_bytes() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 8388608;
COMMENT ON FUNCTION millrace.input_bytes IS 'Size of an input, at most, in bytes of its text.';

CREATE FUNCTION millrace.job_error(kind text, needs_model boolean, model text, is_registered boolean, input jsonb)
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
COMMENT ON FUNCTION millrace.job_error IS 'Why a job is refused, beginning with the field''s name; NULL when it is good.';

CREATE FUNCTION millrace.notify_ready(queues text[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    queue text;
BEGIN
    -- Equal notifications of one transaction are sent once, so this is one per queue and transaction.
    FOREACH queue IN ARRAY queues LOOP
        PERFORM pg_notify('millrace_ready', queue);
    END LOOP;
END
$$;
COMMENT ON FUNCTION millrace.notify_ready IS 'Wakes the workers of these queues at commit.';

CREATE FUNCTION millrace.after_insert()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    bad record;
    arrived text[];
BEGIN
    SELECT j.id, millrace.job_error(j.kind, k.needs_model, j.model, m.name IS NOT NULL, j.input) AS message INTO bad
    FROM inserted j
    LEFT JOIN millrace.kinds k ON k.kind = j.kind
    LEFT JOIN millrace.models m ON m.name = j.model
    WHERE millrace.job_error(j.kind, k.needs_model, j.model, m.name IS NOT NULL, j.input) IS NOT NULL
    ORDER BY j.id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = bad.message,
            DETAIL = format('row %s of %s', (SELECT count(*) FROM inserted WHERE id <= bad.id), (SELECT count(*) FROM inserted)),
            SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = split_part(split_part(bad.message, ':', 1), '.', 1);
    END IF;
    IF EXISTS (SELECT FROM inserted WHERE state <> 'ready' OR attempt <> 0 OR result IS NOT NULL OR error IS NOT NULL
               OR usage IS NOT NULL OR started_at IS NOT NULL OR finished_at IS NOT NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = 'millrace', TABLE = 'jobs',
            MESSAGE = 'state: state, attempt, result, error, usage, started_at and finished_at are set by Millrace, not by INSERT';
    END IF;

    BEGIN
        INSERT INTO millrace.unique_keys (kind, unique_key, job_id)
        SELECT kind, unique_key, id FROM inserted WHERE unique_key IS NOT NULL;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = 'millrace', TABLE = 'jobs', COLUMN = 'unique_key',
            MESSAGE = 'unique_key: an unfinished job of this kind has the same key', DETAIL = SQLERRM;
    END;
    INSERT INTO millrace.deadlines (job_id, deadline) SELECT id, deadline FROM inserted WHERE deadline IS NOT NULL;
    INSERT INTO millrace.scheduled (job_id, run_at) SELECT id, run_at FROM inserted WHERE run_at > now();
    IF FOUND THEN
        UPDATE millrace.jobs j SET state = 'scheduled' FROM inserted i WHERE j.id = i.id AND i.run_at > now();
    END IF;
    INSERT INTO millrace.ready (job_id, queue, kind, model, priority, run_at)
    SELECT id, queue, kind, model, priority, run_at FROM inserted WHERE run_at <= now();

    SELECT array_agg(DISTINCT queue) INTO arrived FROM inserted;
    IF arrived IS NOT NULL THEN
        INSERT INTO millrace.queues (queue) SELECT unnest(arrived) EXCEPT SELECT queue FROM millrace.queues
        ON CONFLICT DO NOTHING;
        -- Jobs for later wake nobody now.
        PERFORM millrace.notify_ready(array_agg(DISTINCT queue)) FROM inserted WHERE run_at <= now() HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION millrace.after_insert IS 'Checks the rows of an INSERT into millrace.jobs and puts them in line.';

CREATE TRIGGER after_insert AFTER INSERT ON millrace.jobs
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION millrace.after_insert();
