-- LoRA adapters stand in the registry beside the models that they change, so a job names either in the same way.

ALTER TABLE millrace.models
    ADD COLUMN base text REFERENCES millrace.models (name),
    ADD CONSTRAINT models_adapter CHECK (base IS NULL OR parent_digest IS NOT NULL);
COMMENT ON COLUMN millrace.models.base IS 'For an adapter the name of the model that it changes; NULL for a model.';
COMMENT ON COLUMN millrace.models.parent_digest IS 'SHA-256 of the model that this one was made of, by a quantize job or by merging an adapter, or that an adapter was registered for; else NULL.';
COMMENT ON TABLE millrace.models IS 'Registered models and adapters: a job names one of these, and every worker loads the same bytes.';

CREATE FUNCTION millrace.check_base()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    adapters text := (SELECT string_agg(m.name, ', ' ORDER BY m.name) FROM millrace.models m
                      WHERE m.base = CASE TG_OP WHEN 'DELETE' THEN OLD.name ELSE NEW.name END);
    message text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF adapters IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = format('model: "%s" is the base of %s; remove these first', OLD.name, adapters);
        END IF;
        RETURN OLD;
    END IF;
    message := CASE
        WHEN NEW.base = NEW.name OR adapters IS NOT NULL THEN format('name: "%s" is a model that adapters need', NEW.name)
        WHEN NOT EXISTS (SELECT FROM millrace.models m WHERE m.name = NEW.base) THEN format('base: "%s" is not registered', NEW.base)
        WHEN EXISTS (SELECT FROM millrace.models m WHERE m.name = NEW.base AND m.base IS NOT NULL) THEN format('base: "%s" is an adapter itself', NEW.base)
    END;
    IF message IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = message; END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION millrace.check_base IS 'Trigger: the base of an adapter is a registered model, and stays.';
REVOKE ALL ON FUNCTION millrace.check_base() FROM PUBLIC;
CREATE TRIGGER check_base BEFORE INSERT OR UPDATE OF name, base ON millrace.models
    FOR EACH ROW WHEN (NEW.base IS NOT NULL) EXECUTE FUNCTION millrace.check_base();
CREATE TRIGGER check_adapters BEFORE DELETE ON millrace.models
    FOR EACH ROW EXECUTE FUNCTION millrace.check_base();
