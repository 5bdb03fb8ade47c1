-- The roles stay: other databases of the server may use them.
ALTER TABLE millrace.attempts DISABLE ROW LEVEL SECURITY;
ALTER TABLE millrace.partials DISABLE ROW LEVEL SECURITY;
ALTER TABLE millrace.jobs DISABLE ROW LEVEL SECURITY;
DROP POLICY own_attempts ON millrace.attempts;
DROP POLICY all_attempts ON millrace.attempts;
DROP POLICY own_partials ON millrace.partials;
DROP POLICY all_partials ON millrace.partials;
DROP POLICY own_jobs ON millrace.jobs;
DROP POLICY all_jobs ON millrace.jobs;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA millrace FROM millrace_client, millrace_worker, millrace_admin;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA millrace FROM millrace_client, millrace_worker, millrace_admin;
REVOKE ALL ON ALL TABLES IN SCHEMA millrace FROM millrace_client, millrace_worker, millrace_admin;
REVOKE INSERT (kind, model, input, queue, priority, run_at, max_attempts, deadline, unique_key, tenant, metadata)
    ON millrace.jobs FROM millrace_client;
REVOKE USAGE ON SCHEMA millrace FROM millrace_client, millrace_worker, millrace_admin;
DROP FUNCTION millrace.retry(bigint);
DROP FUNCTION millrace.cancel(bigint);
