// Jobs that wait for others: as migrations/0014_dependencies.
import JSON
import JobModel

extension MemoryQueue {
    /// A new job waits for those that it depends on, as far as these have not ended. Returns false when there are none.
    mutating func holdBack(_ id: JobID, for needs: [JobID]) -> Bool {
        let policy = entries[id]!.onDependencyFailure
        let open = needs.filter { need in
            let state = entries[need]!.job.state
            return !(state == .succeeded || (state.isFinal && policy == .run))
        }
        guard !open.isEmpty else { return false }
        entries[id]!.waitsFor = Set(open)
        entries[id]!.job.state = .blocked
        for need in open { dependants[need, default: []].insert(id) }
        return true
    }

    /// - Returns: false when the job is not blocked.
    mutating func takeBlocked(_ id: JobID) -> Bool {
        guard let needs = entries[id]?.waitsFor, !needs.isEmpty else { return false }
        for need in needs { forget(need, of: id) }
        return true
    }

    private mutating func forget(_ need: JobID, of id: JobID) {
        entries[id]!.waitsFor.remove(need)
        dependants[need]!.remove(id)
        if dependants[need]!.isEmpty { dependants[need] = nil }
    }

    /// As `millrace.release_dependants`.
    mutating func releaseDependants(of need: JobID, at now: Double) {
        for id in (dependants[need] ?? []).sorted() {
            guard entries[need]!.job.state == .succeeded || entries[id]!.onDependencyFailure == .run else { continue }
            forget(need, of: id)
            guard entries[id]!.waitsFor.isEmpty else { continue }
            if entries[id]!.runAt > now {
                schedule(id, at: entries[id]!.runAt)
            } else {
                entries[id]!.runAt = now
                putInLine(id)
            }
        }
    }

    /// As `millrace.settle_dependencies`: ends jobs that depend on one that did not succeed, generation by generation.
    mutating func settleDependencies(at now: Double) {
        while true {
            let doomed = Set(dependants.filter { entries[$0.key]!.job.state.isFinal }.values.joined()).sorted()
            if doomed.isEmpty { return }
            for id in doomed {
                let need = entries[id]!.waitsFor.filter { entries[$0]!.job.state.isFinal }.min()!
                let error: JSONValue = [
                    "code": "dependency_failed",
                    "message": .string(
                        "job \(need), which this one depends on, is \(entries[need]!.job.state.rawValue)"),
                ]
                _ = takeBlocked(id)
                end(id, entries[id]!.onDependencyFailure == .cancel ? .cancelled : .failed, error: error, at: now)
            }
        }
    }
}
