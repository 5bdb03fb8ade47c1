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

    /// Bytes per second that the team reads from memory, front to back, out of much more than any cache holds.
    package static func bytesPerSecond(team: ThreadTeam, trials: Int = 5) -> Double {
        let words = 1 << 25
        let memory = AlignedBuffer<UInt64>(count: words)
        // Pages that were never written are all the same one.
        memory.elements.update(repeating: 1)
        let sums = AlignedBuffer<UInt64>(count: 8 * team.count)
        var best = 0.0
        for _ in 0..<trials {
            let start = ContinuousClock.now
            team.run(parts: team.count) { part, _ in
                let own = share(words, step: 8, part: part, of: team.count)
                sums.base[8 * part] &+= ck_read_memory(memory.base + own.lowerBound, Int64(own.count))
            }
            best = max(best, Double(8 * words) / ((ContinuousClock.now - start) / .seconds(1)))
        }
        precondition(sums.elements.reduce(0, &+) > 0)
        return best
    }
}
