DROP TRIGGER check_base ON millrace.models;
DROP TRIGGER check_adapters ON millrace.models;
DROP FUNCTION millrace.check_base();
DELETE FROM millrace.models WHERE base IS NOT NULL;
ALTER TABLE millrace.models DROP CONSTRAINT models_adapter, DROP COLUMN base;
COMMENT ON COLUMN millrace.models.parent_digest IS 'SHA-256 of the model that this one was made of by a quantize job; NULL for one that was not.';
COMMENT ON TABLE millrace.models IS 'Registered models: a job names one of these, and every worker loads the same bytes.';
