DROP FUNCTION millrace.fsck(), millrace.fsck_limits();
ALTER FUNCTION millrace.fsck_jobs() RENAME TO fsck;
DROP FUNCTION millrace.remove_limit(text, text), millrace.set_limit(text, text, integer), millrace.use_free_slots(),
    millrace.is_governed(), millrace.admit(bigint[], integer, boolean), millrace.free_slots(bigint[]), millrace.let_in(text, text, bigint), millrace.within_limits(bigint[], integer, boolean), millrace.bounds(bigint[]);
DROP INDEX millrace.ready_waiting;
DROP INDEX millrace.ready_claim;
DROP INDEX millrace.ready_suspects;
CREATE INDEX ready_claim ON millrace.ready (queue, kind, model, place, job_id) WHERE NOT suspect;
CREATE INDEX ready_suspects ON millrace.ready (queue, kind, model, place, job_id) WHERE suspect;
ALTER TABLE millrace.ready DROP COLUMN tenant, DROP COLUMN limit_key, DROP COLUMN waits_scope, DROP COLUMN waits_name;
DROP TABLE millrace.slots, millrace.limits;
ALTER TABLE millrace.jobs DROP COLUMN limit_key;
