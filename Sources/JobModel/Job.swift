// A job as its client sees it, and the names it is known by.
import Foundation
import JSON

/// `millrace.jobs.id`.
package typealias JobID = Int64

/// Drawn by each claim; only ever grows. Every write of an attempt is guarded by it.
package typealias RunToken = Int64

/// One start of a worker process: drawn anew each time, so that a restarted process is never taken for its predecessor.
package typealias WorkerID = UUID

/// What a job does; the database knows the kinds that exist.
package struct JobKind: RawRepresentable, Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
    package init(stringLiteral value: String) { rawValue = value }
    package var description: String { rawValue }

    package static let generate: JobKind = "generate"
    /// Log-likelihoods of given texts.
    package static let score: JobKind = "score"
    /// Texts as vectors.
    package static let embed: JobKind = "embed"
    /// A model in fewer bits.
    package static let quantize: JobKind = "quantize"
    /// Does nothing; for measuring the queue.
    package static let noop: JobKind = "noop"
}

package enum JobState: String, Sendable, CaseIterable {
    case blocked, scheduled, ready, running, succeeded, failed, cancelled, expired

    /// A job in such a state changes no more, unless someone retries it by hand.
    package var isFinal: Bool {
        switch self {
        case .succeeded, .failed, .cancelled, .expired: true
        case .blocked, .scheduled, .ready, .running: false
        }
    }
}

/// A row of `millrace.jobs`.
package struct Job: Sendable, Equatable {
    package var id: JobID
    package var kind: JobKind
    package var model: String
    package var queue: String
    package var priority: Int
    package var state: JobState
    package var attempt: Int
    package var maximumAttempts: Int
    package var retryPolicy: RetryPolicy
    /// Attempts that failed and were followed by another one.
    package var failures: Int
    /// Workers that died while they ran it, and nothing else was to blame.
    package var workerDeaths: Int
    package var maximumWorkerDeaths: Int
    package var input: JSONValue
    package var result: JSONValue?
    package var error: JSONValue?
    package var usage: JSONValue?
    package var tenant: String
    package var metadata: JSONValue
    /// As PostgreSQL prints them in ISO form with the time zone.
    package var createdAt: String
    package var startedAt: String?
    package var finishedAt: String?
    /// The job that this one repeats, for a comparison.
    package var replayOf: JobID?

    package init(
        id: JobID, kind: JobKind, model: String, queue: String, priority: Int, state: JobState, attempt: Int,
        maximumAttempts: Int, retryPolicy: RetryPolicy = RetryPolicy(), failures: Int = 0, workerDeaths: Int = 0,
        maximumWorkerDeaths: Int = 3, input: JSONValue, result: JSONValue? = nil, error: JSONValue? = nil,
        usage: JSONValue? = nil, tenant: String, metadata: JSONValue, createdAt: String, startedAt: String? = nil,
        finishedAt: String? = nil, replayOf: JobID? = nil
    ) {
        self.id = id
        self.kind = kind
        self.model = model
        self.queue = queue
        self.priority = priority
        self.state = state
        self.attempt = attempt
        self.maximumAttempts = maximumAttempts
        self.retryPolicy = retryPolicy
        self.failures = failures
        self.workerDeaths = workerDeaths
        self.maximumWorkerDeaths = maximumWorkerDeaths
        self.input = input
        self.result = result
        self.error = error
        self.usage = usage
        self.tenant = tenant
        self.metadata = metadata
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.replayOf = replayOf
    }
}

/// What becomes of a job when one that it depends on does not succeed.
package enum DependencyFailurePolicy: String, Sendable, CaseIterable {
    case fail, cancel
    /// As if it had succeeded.
    case run
}

/// What a client hands in. nil is the column's default.
package struct NewJob: Sendable {
    package var kind: JobKind
    package var model: String
    package var input: JSONValue
    package var queue: String?
    package var priority: Int?
    /// Seconds from now.
    package var delay: Double?
    package var maximumAttempts: Int?
    package var retryPolicy: RetryPolicy?
    package var maximumWorkerDeaths: Int?
    /// Seconds from now until the job expires.
    package var timeToStart: Double?
    package var uniqueKey: String?
    package var tenant: String?
    /// Jobs with one key run at the same time only as far as the key's limit allows.
    package var limitKey: String?
    /// Earlier jobs that must end before this one may run.
    package var dependsOn: [JobID]
    package var onDependencyFailure: DependencyFailurePolicy?
    /// An open batch that it belongs to.
    package var batch: Int64?
    /// False: computed whatever equal jobs there are.
    package var cache: Bool?
    package var metadata: JSONValue?

    package init(
        kind: JobKind, model: String = "", input: JSONValue, queue: String? = nil, priority: Int? = nil,
        delay: Double? = nil, maximumAttempts: Int? = nil, retryPolicy: RetryPolicy? = nil,
        maximumWorkerDeaths: Int? = nil, timeToStart: Double? = nil, uniqueKey: String? = nil,
        tenant: String? = nil, limitKey: String? = nil, dependsOn: [JobID] = [],
        onDependencyFailure: DependencyFailurePolicy? = nil, batch: Int64? = nil, cache: Bool? = nil,
        metadata: JSONValue? = nil
    ) {
        self.kind = kind
        self.model = model
        self.input = input
        self.queue = queue
        self.priority = priority
        self.delay = delay
        self.maximumAttempts = maximumAttempts
        self.retryPolicy = retryPolicy
        self.maximumWorkerDeaths = maximumWorkerDeaths
        self.timeToStart = timeToStart
        self.uniqueKey = uniqueKey
        self.tenant = tenant
        self.limitKey = limitKey
        self.dependsOn = dependsOn
        self.onDependencyFailure = onDependencyFailure
        self.batch = batch
        self.cache = cache
        self.metadata = metadata
    }
}
