// The compute threads: a fixed team beside Swift's cooperative pool, with static splits.
import CKernels

/// Fixed pthreads that run one body together; the calling thread is thread 0. Idle threads spin for some microseconds,
/// then sleep. A team is meant to be run from one thread; a second concurrent (or nested) run is done wholly by its
/// caller, with the same result.
package final class ThreadTeam: Sendable {
    nonisolated(unsafe) private let team: OpaquePointer
    /// Threads including the caller; fewer than asked for if the system grants no more.
    package let count: Int

    package init(threads: Int) {
        precondition(1...1024 ~= threads, "a team has 1 to 1024 threads, not \(threads)")
        guard let team = ck_team_create(Int32(threads)) else { fatalError("no memory for a thread team") }
        self.team = team
        count = Int(ck_team_count(team))
    }

    deinit { ck_team_destroy(team) }

    /// Calls `body(thread, of)` once for every thread and returns when all are done. The closure costs two small
    /// allocations; the kernels of this module go through the C entry below and allocate nothing.
    package func run(_ body: (_ thread: Int, _ of: Int) -> Void) {
        guard count > 1 else { return body(0, 1) }
        withoutActuallyEscaping(body) { body in
            withUnsafePointer(to: body) { pointer in
                ck_team_run(
                    team,
                    { context, thread, threads in
                        let body = context!.assumingMemoryBound(to: ((Int, Int) -> Void).self)
                        body.pointee(Int(thread), Int(threads))
                    }, UnsafeMutableRawPointer(mutating: pointer))
            }
        }
    }

    /// The same for a C function and its context: no allocation. With `alone` every part runs on the caller, which is
    /// cheaper for tiny work.
    func run(_ context: UnsafeMutableRawPointer, alone: Bool, _ body: ck_team_body) {
        if alone || count == 1 { return body(context, 0, 1) }
        ck_team_run(team, body, context)
    }
}

/// The part of 0..<count that falls to one thread; boundaries are multiples of `step`.
func share(_ count: Int, step: Int = 1, thread: Int, of threads: Int) -> Range<Int> {
    let steps = (count + step - 1) / step
    let from = steps * thread / threads * step, to = steps * (thread + 1) / threads * step
    return min(from, count)..<min(to, count)
}
