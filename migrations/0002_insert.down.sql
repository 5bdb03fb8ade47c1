DROP TRIGGER after_insert ON millrace.jobs;
DROP FUNCTION millrace.after_insert();
DROP FUNCTION millrace.notify_ready(text[]);
DROP FUNCTION millrace.job_error(text, boolean, text, boolean, jsonb);
DROP FUNCTION millrace.input_bytes();
DROP FUNCTION millrace.generate_error(jsonb);
-- IF EXISTS: the first schemas of this migration didn't have them.
DROP FUNCTION IF EXISTS millrace.structured_outputs_error(jsonb);
DROP FUNCTION IF EXISTS millrace.response_format_error(jsonb);
DROP FUNCTION millrace.stop_error(jsonb);
DROP FUNCTION millrace.messages_error(jsonb);
DROP FUNCTION millrace.input_error(jsonb, text, text, numeric, numeric);
