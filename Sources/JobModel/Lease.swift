// A claimed job: what a worker gets, and what entitles it to report.
import JSON

package struct Lease: Sendable, Equatable {
    package var id: JobID
    package var runToken: RunToken
    package var kind: JobKind
    package var model: String
    package var input: JSONValue
    package var queue: String
    package var priority: Int
    /// This attempt, from 1.
    package var attempt: Int
    package var maximumAttempts: Int
    package var retryPolicy: RetryPolicy
    /// Earlier attempts that failed.
    package var failures: Int
    package var tenant: String
    /// Seconds since 1970 at which the job was inserted.
    package var createdAt: Double
    /// Hashes of what its text begins with, four digits for each length, the lengths doubling: two texts begin alike as far
    /// as their chains do. nil for a short text.
    package var prefix: String?
    /// What an earlier attempt had when it was last stored.
    package var progress: JSONValue?
    /// All that earlier attempts have written.
    package var written: StreamChunk?

    package init(
        id: JobID, runToken: RunToken, kind: JobKind, model: String, input: JSONValue, queue: String, priority: Int,
        attempt: Int, maximumAttempts: Int, retryPolicy: RetryPolicy = RetryPolicy(), failures: Int = 0, tenant: String,
        createdAt: Double, prefix: String? = nil, progress: JSONValue? = nil,
        written: StreamChunk? = nil
    ) {
        self.id = id
        self.runToken = runToken
        self.kind = kind
        self.model = model
        self.input = input
        self.queue = queue
        self.priority = priority
        self.attempt = attempt
        self.maximumAttempts = maximumAttempts
        self.retryPolicy = retryPolicy
        self.failures = failures
        self.tenant = tenant
        self.createdAt = createdAt
        self.prefix = prefix
        self.progress = progress
        self.written = written
    }
}
