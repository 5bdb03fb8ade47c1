// The seam between the queue and those who do the work. A worker knows handlers; it does not know what a model is.
import JSON
import JobModel

/// Does the jobs of some kinds.
package protocol JobHandler: Sendable {
    var kinds: [JobKind] { get }

    /// Jobs that could begin now, and the models that they may name. Asked before each claim.
    func demand() async -> Demand

    /// Yields when `demand` may have grown.
    var capacity: AsyncStream<Void> { get }

    /// A claimed job is about to be run: it takes its place in `demand` from now on.
    func willRun(_ lease: Lease)

    /// Does one job to its end. Called at most `demand().jobs` times before the next question. Cancelling the task asks it
    /// to stop within a step: the outcome is then `.cancelled` with what there is, and the worker decides what it means.
    func run(_ lease: Lease, progress: any ProgressSink) async -> Outcome

    /// No more jobs will come; frees what it holds.
    func shutDown() async
}

package struct Demand: Sendable, Equatable {
    package var jobs: Int
    package var models: [String]
    /// Which of them cost least; nil when all are the same.
    package var affinity: Affinity?

    package init(jobs: Int, models: [String], affinity: Affinity? = nil) {
        self.jobs = jobs
        self.models = models
        self.affinity = affinity
    }
}

/// Takes what a running job has so far; stored now and then, guarded by the run token.
package protocol ProgressSink: Sendable {
    /// Replaces what was handed over before. Returns at once.
    func report(_ progress: JSONValue)

    /// Adds what the job has written since; each piece begins where the one before ended. Returns at once.
    /// - Parameter modelDigest: what the tokens are of.
    func append(_ chunk: StreamChunk, modelDigest: String)
}
