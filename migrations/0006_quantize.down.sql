DELETE FROM millrace.kinds WHERE kind = 'quantize';
DROP FUNCTION millrace.quantize_error(jsonb);
ALTER TABLE millrace.models DROP COLUMN parent_digest;
