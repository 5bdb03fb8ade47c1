// What the worker's loop waits for: any number of senders leave notes, the loop takes them all at once.
import JobModel
import Synchronization

final class Inbox: Sendable {
    struct Notes: Sendable {
        /// There may be jobs to claim.
        var look = false
        var cancelled: Set<JobID> = []
        /// Attempts whose lease is gone; by token, since the same job may run here again already.
        var stale: [JobID: RunToken] = [:]
        /// Incarnations of the worker that were found dead.
        var lost: Set<WorkerID> = []
        var drain = false
        /// The time that running jobs had for the drain is over.
        var timeUp = false
        /// A job ended: places are free.
        var ended = false
    }

    private let notes = Mutex(Notes())
    private let bell: AsyncStream<Void>.Continuation
    let rings: AsyncStream<Void>

    init() {
        (rings, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func leave(_ note: @Sendable (inout Notes) -> Void) {
        notes.withLock { note(&$0) }
        bell.yield()
    }

    func take() -> Notes {
        notes.withLock { notes in
            defer { notes = Notes() }
            return notes
        }
    }
}
