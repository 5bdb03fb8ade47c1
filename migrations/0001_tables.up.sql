-- The tables of the queue. Bodies of jobs are cold and wide; what is claimed, run and published lives in narrow hot
-- tables beside them, so that the claim never walks over finished work.

CREATE SCHEMA millrace;
COMMENT ON SCHEMA millrace IS 'Millrace: LLM jobs, their queue and their results.';

CREATE TABLE millrace.kinds (
    kind        text PRIMARY KEY CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    needs_model boolean NOT NULL
);
COMMENT ON TABLE millrace.kinds IS 'What a job can be. An INSERT with another kind is refused.';
COMMENT ON COLUMN millrace.kinds.kind IS 'Name of the kind, as in millrace.jobs.kind.';
COMMENT ON COLUMN millrace.kinds.needs_model IS 'True when a job of this kind must name a registered model.';
INSERT INTO millrace.kinds VALUES ('generate', true), ('noop', false);

CREATE TABLE millrace.models (
    name           text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$'),
    digest         text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    architecture   text NOT NULL,
    context_length integer NOT NULL CHECK (context_length > 0),
    uri            text NOT NULL,
    bytes          bigint NOT NULL CHECK (bytes > 0),
    created_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE millrace.models IS 'Registered models: a job names one of these, and every worker loads the same bytes.';
COMMENT ON COLUMN millrace.models.name IS 'The name that jobs use.';
COMMENT ON COLUMN millrace.models.digest IS 'SHA-256 of the model file in hexadecimal; a worker refuses a file with another one.';
COMMENT ON COLUMN millrace.models.architecture IS 'Model family: gpt2, llama, qwen2, qwen3 or gemma3.';
COMMENT ON COLUMN millrace.models.context_length IS 'Tokens of prompt and answer together, at most.';
COMMENT ON COLUMN millrace.models.uri IS 'Path of the file or folder, as workers see it.';
COMMENT ON COLUMN millrace.models.bytes IS 'Size of the file or folder in bytes.';
COMMENT ON COLUMN millrace.models.created_at IS 'When the model was registered.';

-- lz4-free defaults on purpose: the schema must load on any PostgreSQL 15. fillfactor 80 leaves room for the two HOT
-- updates of a job's life (running, then its end); no index covers state, since that would forbid HOT.
CREATE TABLE millrace.jobs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    model        text NOT NULL DEFAULT '',
    input        jsonb NOT NULL,
    queue        text NOT NULL DEFAULT 'default' CHECK (queue ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    priority     smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100),
    run_at       timestamptz NOT NULL DEFAULT now(),
    max_attempts smallint NOT NULL DEFAULT 5 CHECK (max_attempts BETWEEN 1 AND 1000),
    deadline     timestamptz,
    unique_key   text CHECK (length(unique_key) BETWEEN 1 AND 500),
    tenant       text NOT NULL DEFAULT '' CHECK (length(tenant) <= 200),
    metadata     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object' AND pg_column_size(metadata) <= 65536),
    state        text NOT NULL DEFAULT 'ready'
                 CHECK (state IN ('blocked', 'scheduled', 'ready', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
    attempt      smallint NOT NULL DEFAULT 0,
    result       jsonb,
    error        jsonb,
    usage        jsonb,
    submitted_by name NOT NULL DEFAULT session_user,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
COMMENT ON TABLE millrace.jobs IS 'Jobs: clients insert here and read state, result, error and usage here.';
COMMENT ON COLUMN millrace.jobs.id IS 'Number of the job; grows with time.';
COMMENT ON COLUMN millrace.jobs.kind IS 'What is to be done: a row of millrace.kinds.';
COMMENT ON COLUMN millrace.jobs.model IS 'Name of a registered model; empty for kinds that need none.';
COMMENT ON COLUMN millrace.jobs.input IS 'What is to be done, as the kind defines it (docs/jobs.md); at most 8 MiB.';
COMMENT ON COLUMN millrace.jobs.queue IS 'Queue that the job waits in; workers choose the queues they serve.';
COMMENT ON COLUMN millrace.jobs.priority IS 'Lower is sooner, -100 to 100.';
COMMENT ON COLUMN millrace.jobs.run_at IS 'Not before this time.';
COMMENT ON COLUMN millrace.jobs.max_attempts IS 'Attempts at most; a worker''s death costs one, an orderly hand-back none.';
COMMENT ON COLUMN millrace.jobs.deadline IS 'A job that has not begun by then becomes expired.';
COMMENT ON COLUMN millrace.jobs.unique_key IS 'At most one unfinished job per kind may have this key.';
COMMENT ON COLUMN millrace.jobs.tenant IS 'Whom the job is for; free text of the client.';
COMMENT ON COLUMN millrace.jobs.metadata IS 'The client''s own notes; an object, never read by Millrace.';
COMMENT ON COLUMN millrace.jobs.state IS 'blocked, scheduled, ready, running, succeeded, failed, cancelled or expired.';
COMMENT ON COLUMN millrace.jobs.attempt IS 'Attempts begun so far.';
COMMENT ON COLUMN millrace.jobs.result IS 'The answer of a succeeded job, and what a cancelled one had.';
COMMENT ON COLUMN millrace.jobs.error IS 'Why it failed, or why it was tried again: {"code","message","field"?}.';
COMMENT ON COLUMN millrace.jobs.usage IS 'Work done, e.g. {"prompt_tokens","completion_tokens","total_tokens"}.';
COMMENT ON COLUMN millrace.jobs.submitted_by IS 'Database role that inserted the job; clients see only their own.';
COMMENT ON COLUMN millrace.jobs.created_at IS 'When the job was inserted.';
COMMENT ON COLUMN millrace.jobs.started_at IS 'When the latest attempt began.';
COMMENT ON COLUMN millrace.jobs.finished_at IS 'When the job reached its last state.';

CREATE TABLE millrace.queues (
    queue  text PRIMARY KEY,
    paused boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE millrace.queues IS 'Queues that have ever had a job, and whether they are paused.';
COMMENT ON COLUMN millrace.queues.queue IS 'Name of the queue.';
COMMENT ON COLUMN millrace.queues.paused IS 'True: nothing is claimed from it.';

-- Churns with every job. Vacuum by count, not by share, since the table is small and its dead rows are what a claim
-- would walk over.
CREATE TABLE millrace.ready (
    job_id   bigint PRIMARY KEY,
    queue    text NOT NULL,
    kind     text NOT NULL,
    model    text NOT NULL,
    priority smallint NOT NULL,
    run_at   timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
-- Columns of the claim's ORDER BY, after the lane that it fixes: one ordered index scan per lane, no sort.
CREATE INDEX ready_claim ON millrace.ready (queue, kind, model, priority, run_at, job_id);
COMMENT ON TABLE millrace.ready IS 'One row per job that a worker may claim now.';
COMMENT ON COLUMN millrace.ready.job_id IS 'The job.';
COMMENT ON COLUMN millrace.ready.queue IS 'Copied from the job.';
COMMENT ON COLUMN millrace.ready.kind IS 'Copied from the job.';
COMMENT ON COLUMN millrace.ready.model IS 'Copied from the job.';
COMMENT ON COLUMN millrace.ready.priority IS 'Copied from the job.';
COMMENT ON COLUMN millrace.ready.run_at IS 'Since when the job may run: its place in the line.';

CREATE TABLE millrace.scheduled (
    job_id bigint PRIMARY KEY,
    run_at timestamptz NOT NULL
);
CREATE INDEX scheduled_due ON millrace.scheduled (run_at, job_id);
COMMENT ON TABLE millrace.scheduled IS 'Jobs that wait for a time: delayed ones and those to be tried again.';
COMMENT ON COLUMN millrace.scheduled.job_id IS 'The job.';
COMMENT ON COLUMN millrace.scheduled.run_at IS 'When it becomes ready.';

CREATE TABLE millrace.deadlines (
    job_id   bigint PRIMARY KEY,
    deadline timestamptz NOT NULL
);
CREATE INDEX deadlines_due ON millrace.deadlines (deadline, job_id);
COMMENT ON TABLE millrace.deadlines IS 'Unfinished jobs with a deadline; apart, so that jobs without one cost nothing.';
COMMENT ON COLUMN millrace.deadlines.job_id IS 'The job.';
COMMENT ON COLUMN millrace.deadlines.deadline IS 'Copied from the job.';

CREATE TABLE millrace.unique_keys (
    kind       text NOT NULL,
    unique_key text NOT NULL,
    job_id     bigint NOT NULL UNIQUE REFERENCES millrace.jobs ON DELETE CASCADE,
    PRIMARY KEY (kind, unique_key)
);
COMMENT ON TABLE millrace.unique_keys IS 'Keys of unfinished jobs. A table of its own: an index on jobs that knew the state would forbid HOT updates.';
COMMENT ON COLUMN millrace.unique_keys.kind IS 'Kind of the job.';
COMMENT ON COLUMN millrace.unique_keys.unique_key IS 'The key.';
COMMENT ON COLUMN millrace.unique_keys.job_id IS 'The unfinished job that holds it.';

CREATE TABLE millrace.workers (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    host       text NOT NULL,
    pid        integer NOT NULL,
    profile    jsonb NOT NULL,
    draining   boolean NOT NULL DEFAULT false,
    lost       boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE millrace.workers IS 'One row per worker process; the row goes when the process ends in order or is found dead.';
COMMENT ON COLUMN millrace.workers.id IS 'Incarnation: drawn anew at each start of a process.';
COMMENT ON COLUMN millrace.workers.name IS 'Name of the worker pool.';
COMMENT ON COLUMN millrace.workers.host IS 'Host name.';
COMMENT ON COLUMN millrace.workers.pid IS 'Process number on that host.';
COMMENT ON COLUMN millrace.workers.profile IS 'What it serves: queues, kinds, models, threads, limits.';
COMMENT ON COLUMN millrace.workers.draining IS 'True when it takes no more jobs.';
COMMENT ON COLUMN millrace.workers.lost IS 'Found dead: its leases are taken from it, and it may not come back under this id.';
COMMENT ON COLUMN millrace.workers.started_at IS 'Start of the process.';
COMMENT ON COLUMN millrace.workers.beat_at IS 'Last heartbeat, by the database''s clock.';

CREATE SEQUENCE millrace.run_tokens;
COMMENT ON SEQUENCE millrace.run_tokens IS 'Fencing: every claim draws one; only ever grows.';

CREATE TABLE millrace.leases (
    job_id           bigint PRIMARY KEY,
    run_token        bigint NOT NULL,
    worker_id        uuid NOT NULL,
    claimed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    cancel_requested boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX leases_worker ON millrace.leases (worker_id);
COMMENT ON TABLE millrace.leases IS 'One row per running attempt. Every write of an attempt is guarded by its run_token.';
COMMENT ON COLUMN millrace.leases.job_id IS 'The job.';
COMMENT ON COLUMN millrace.leases.run_token IS 'Token of this claim.';
COMMENT ON COLUMN millrace.leases.worker_id IS 'Worker that runs it. No foreign key: a dead worker''s row may go before its leases do.';
COMMENT ON COLUMN millrace.leases.claimed_at IS 'When it was claimed.';
COMMENT ON COLUMN millrace.leases.cancel_requested IS 'A client wants it to stop; the worker is told.';

CREATE TABLE millrace.partials (
    job_id     bigint PRIMARY KEY,
    run_token  bigint NOT NULL,
    progress   jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE millrace.partials IS 'What a running job has so far; goes when the job ends.';
COMMENT ON COLUMN millrace.partials.job_id IS 'The job.';
COMMENT ON COLUMN millrace.partials.run_token IS 'Attempt that wrote it.';
COMMENT ON COLUMN millrace.partials.progress IS 'For generate: {"text","tokens"}.';
COMMENT ON COLUMN millrace.partials.updated_at IS 'When it was written.';

CREATE TABLE millrace.attempts (
    job_id      bigint NOT NULL REFERENCES millrace.jobs ON DELETE CASCADE,
    attempt     smallint NOT NULL,
    run_token   bigint NOT NULL,
    worker_id   uuid,
    started_at  timestamptz,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome     text NOT NULL CHECK (outcome IN ('retried', 'failed', 'lost', 'released')),
    error       jsonb,
    PRIMARY KEY (job_id, run_token)
);
COMMENT ON TABLE millrace.attempts IS 'History of attempts that brought no result.';
COMMENT ON COLUMN millrace.attempts.job_id IS 'The job.';
COMMENT ON COLUMN millrace.attempts.attempt IS 'Number of the attempt.';
COMMENT ON COLUMN millrace.attempts.run_token IS 'Its token.';
COMMENT ON COLUMN millrace.attempts.worker_id IS 'Worker that ran it.';
COMMENT ON COLUMN millrace.attempts.started_at IS 'When it was claimed.';
COMMENT ON COLUMN millrace.attempts.finished_at IS 'When its end was recorded.';
COMMENT ON COLUMN millrace.attempts.outcome IS 'retried, failed, lost (its worker died) or released (handed back, not counted).';
COMMENT ON COLUMN millrace.attempts.error IS 'As millrace.jobs.error.';

CREATE TABLE millrace.outbox (
    seq    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    event  jsonb NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE millrace.outbox IS 'Events to be published, written in the transaction that they tell of; the publisher deletes what Redis took.';
COMMENT ON COLUMN millrace.outbox.seq IS 'Number of the event; for one job it only grows.';
COMMENT ON COLUMN millrace.outbox.job_id IS 'The job.';
COMMENT ON COLUMN millrace.outbox.event IS '{"id","kind","state","attempt","finished_at","result"?}; the publisher adds "seq".';
