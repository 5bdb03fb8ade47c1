// Inserting jobs, as any client would.
import JSON
import JobModel
import PostgresClient

enum EnqueueSQL {
    /// One statement for any number of jobs, so that the insert trigger runs once. `coalesce` repeats the table's
    /// defaults, since an explicit NULL would not take them. RETURNING gives the order of insertion.
    static let enqueue: SQL = """
        INSERT INTO millrace.jobs
            (kind, model, input, queue, priority, run_at, max_attempts, deadline, unique_key, tenant, metadata,
             retry_policy, retry_delay, max_worker_deaths, limit_key, depends_on, on_dependency_failure, batch,
             cache)
        SELECT kind, model, input, coalesce(queue, 'default'), coalesce(priority, 0),
            now() + make_interval(secs => coalesce(delay, 0)), coalesce(max_attempts, 5),
            now() + make_interval(secs => time_to_start), unique_key, coalesce(tenant, ''), coalesce(metadata, '{}'),
            coalesce(retry_policy, 'exponential'), retry_delay, coalesce(max_worker_deaths, 3),
            limit_key, depends_on::bigint[], coalesce(on_dependency_failure, 'fail'), batch, coalesce(cache, true)
        FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::text[], $5::smallint[], $6::float8[], $7::smallint[],
            $8::float8[], $9::text[], $10::text[], $11::jsonb[], $12::text[], $13::real[], $14::smallint[],
            $15::text[], $16::text[], $17::text[], $18::bigint[],
            $19::boolean[]) WITH ORDINALITY
            AS job (kind, model, input, queue, priority, delay, max_attempts, time_to_start, unique_key, tenant, metadata,
                retry_policy, retry_delay, max_worker_deaths, limit_key, depends_on, on_dependency_failure, batch,
                cache, place)
        ORDER BY place
        RETURNING id
        """

    static func binds(_ jobs: [NewJob]) -> [(any PostgresBindable)?] {
        [
            jobs.map(\.kind.rawValue), jobs.map(\.model), jobs.map(\.input), jobs.map(\.queue),
            jobs.map { small($0.priority) }, jobs.map(\.delay), jobs.map { small($0.maximumAttempts) },
            jobs.map(\.timeToStart), jobs.map(\.uniqueKey), jobs.map(\.tenant), jobs.map(\.metadata),
            jobs.map(\.retryPolicy?.kind.rawValue), jobs.map(\.retryPolicy?.delay),
            jobs.map { small($0.maximumWorkerDeaths) }, jobs.map(\.limitKey),
            jobs.map { $0.dependsOn.isEmpty ? nil : list($0.dependsOn) }, jobs.map(\.onDependencyFailure?.rawValue),
            jobs.map(\.batch), jobs.map(\.cache),
        ]
    }

    /// A number that no smallint can hold is as far out of the column's range as the nearest that it can; the table's
    /// own check then names the field, which a failed cast would not.
    private static func small(_ number: Int?) -> Int? { number.map { Int(Int16(clamping: $0)) } }

    /// Lists of different lengths make no array of arrays, so each goes as the text of one.
    private static func list(_ ids: [JobID]) -> String { "{" + ids.map(String.init).joined(separator: ",") + "}" }
}
