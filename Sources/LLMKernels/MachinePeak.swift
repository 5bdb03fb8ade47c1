// What this machine can do at best, measured: multiply-adds in registers, and bytes read from memory.
import CKernels

package enum MachinePeak {
    package enum Unit: String, Sendable, CaseIterable {
        /// Fused multiply-adds of float32.
        case float32
        /// Multiply-adds of bytes: vpdpbusd, or maddubs with its additions.
        case int8
    }

    /// Operations per second (a multiply-add counts two) of the whole team at the active level: the best of `trials`.
    package static func operationsPerSecond(_ unit: Unit, team: ThreadTeam, trials: Int = 5) -> Double {
        let level = kernels.level, isInteger: Int32 = unit == .int8 ? 1 : 0
        var best = 0.0
        for _ in 0..<trials {
            let start = ContinuousClock.now
            let rounds: Int64 = level == ck_scalar ? 4_000_000 : 2_000_000
            team.run(parts: team.count) { _, _ in _ = ck_peak(level, isInteger, rounds) }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            // ck_peak tells how much one round is; one more round costs nothing.
            best = max(best, ck_peak(level, isInteger, 1) * Double(rounds) * Double(team.count) / seconds)
        }
        return best
    }

    /// Bytes per second that the team reads of `bytes`, again and again from front to back: as a model of that size is
    /// read, from memory or from a cache that holds it.
    package static func bytesPerSecond(of bytes: Int, team: ThreadTeam, trials: Int = 5) -> Double {
        let words = max(1, bytes / 512) * 64
        // At least some milliseconds.
        let repeats = max(1, (1 << 24) / words)
        let memory = AlignedBuffer<UInt64>(count: words)
        // Pages that were never written are all the same one.
        memory.elements.update(repeating: 1)
        let sums = AlignedBuffer<UInt64>(count: 8 * team.count)
        var best = 0.0
        for _ in 0..<trials {
            let start = ContinuousClock.now
            team.run(parts: team.count) { part, _ in
                let own = share(words, step: 8, part: part, of: team.count)
                for _ in 0..<repeats {
                    sums.base[8 * part] &+= ck_read_memory(memory.base + own.lowerBound, Int64(own.count))
                }
            }
            best = max(best, Double(8 * words * repeats) / ((ContinuousClock.now - start) / .seconds(1)))
        }
        precondition(sums.elements.reduce(0, &+) > 0)
        return best
    }
}
