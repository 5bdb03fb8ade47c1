DROP FUNCTION millrace.unregister_worker(uuid);
DROP FUNCTION millrace.expire(integer);
DROP FUNCTION millrace.promote(integer);
-- Databases made before there was a release may lack it.
DROP FUNCTION IF EXISTS millrace.hand_back_unknown(uuid, bigint[]);
DROP FUNCTION millrace.rescue(integer);
DROP FUNCTION millrace.report_progress(bigint[], bigint[], jsonb[]);
DROP FUNCTION millrace.complete(bigint[], bigint[], text[], jsonb[], jsonb[], jsonb[], double precision[]);
DROP FUNCTION millrace.settle(millrace.ended_attempt[]);
DROP FUNCTION millrace.state_after(text, boolean, smallint, smallint, double precision);
DROP TYPE millrace.ended_attempt;
DROP FUNCTION millrace.end_jobs(bigint[], text[], jsonb[], jsonb[], jsonb[]);
DROP FUNCTION millrace.event(millrace.jobs);
DROP FUNCTION millrace.claim(uuid, text[], text[], text[], integer);
DROP FUNCTION millrace.beat(uuid, boolean);
DROP FUNCTION millrace.register_worker(uuid, text, text, integer, jsonb);
DROP FUNCTION millrace.worker_timeout();
