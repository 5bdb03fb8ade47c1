// The compute threads: a fixed team beside Swift's cooperative pool, in parts that each thread claims as it gets free.
import CKernels

/// Fixed pthreads that run one body together; the calling thread is thread 0. Idle threads spin for some microseconds,
/// then sleep. A team is meant to be run from one thread; a second concurrent (or nested) run is done wholly by its
/// caller, with the same result, as thread 0.
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

    /// Calls `body(part, thread)` once for every part 0..<parts, spread over the threads as they get free, and returns
    /// when all are done; `thread` tells whose memory a part may use. The closure costs two small allocations; the kernels
    /// of this module go through the C entry below and allocate nothing.
    package func run(parts: Int, _ body: (_ part: Int, _ thread: Int) -> Void) {
        withoutActuallyEscaping(body) { body in
            withUnsafePointer(to: body) { pointer in
                run(UnsafeMutableRawPointer(mutating: pointer), parts: parts) { context, part, _, thread in
                    context!.assumingMemoryBound(to: ((Int, Int) -> Void).self).pointee(Int(part), Int(thread))
                }
            }
        }
    }

    /// The same for a C function and its context: no allocation. One part runs on the caller alone.
    func run(_ context: UnsafeMutableRawPointer, parts: Int, _ body: ck_team_body) {
        precondition(0..<1 << 15 ~= parts, "\(parts) parts")
        ck_team_run(team, body, context, Int32(parts))
    }

    /// How many parts to make of `items`: some for each thread, so that one that is held up leaves them to the others,
    /// but none with less than `least` of the `work`.
    func parts(of items: Int, work: Int, atLeast least: Int) -> Int {
        max(1, min(items, work / least, count * 6))
    }
}

/// A part of 0..<count; boundaries are multiples of `step`.
func share(_ count: Int, step: Int = 1, part: Int, of parts: Int) -> Range<Int> {
    let steps = (count + step - 1) / step
    let from = steps * part / parts * step, to = steps * (part + 1) / parts * step
    return min(from, count)..<min(to, count)
}
