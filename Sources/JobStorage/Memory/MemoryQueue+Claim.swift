// Whose turn it is: as migrations/0011_limits and 0012_affinity.
import JobModel

extension MemoryQueue {
    /// A ready job that a worker may look at.
    private struct Candidate {
        let lane: Lane
        let place: Place
        let isSuspect: Bool
        let prefix: String?
    }

    mutating func claim(_ request: ClaimRequest, at now: Double) throws(StoreError) -> [Lease] {
        guard let worker = workers[request.worker], !worker.isLost else { throw .workerLost }
        let holdsSuspect = leases.values.contains { $0.worker == request.worker && $0.isSuspect }
        let line = candidates(request, at: now).filter { !$0.isSuspect || !holdsSuspect }
        let wishes = request.affinity ?? Affinity(busyModels: request.models, idleModels: [], places: 0)
        let atHand = Set(wishes.busyModels + wishes.idleModels + [""])
        func bound(_ candidate: Candidate) -> Double {
            candidate.isSuspect ? .infinity : candidate.place.time + queues[candidate.lane.queue]!.affinityWindow
        }
        let horizon = line.map(bound).min() ?? .infinity
        let chosen = chosenModels(line, wishes, of: request.worker, horizon: horizon)
        let latest = line.filter { !chosen.contains($0.lane.model) }.map(bound).min() ?? .infinity
        let open = line.filter { chosen.contains($0.lane.model) && $0.place.time <= latest }
        let near = Set(near(open, wishes, atHand, horizon: horizon, request.maximum).map(\.place.id))
        func turn(_ candidate: Candidate) -> Int {
            if near.contains(candidate.place.id) { return 0 }
            return candidate.place.time <= horizon && atHand.contains(candidate.lane.model) ? 1 : 2
        }
        var taken: [Lease] = []
        var hasSuspect = false
        for candidate in open.sorted(by: { (turn($0), $0.place) < (turn($1), $1.place) }) {
            if taken.count == request.maximum { break }
            if candidate.isSuspect && hasSuspect || isKept(candidate.place.id, at: now) { continue }
            hasSuspect = hasSuspect || candidate.isSuspect
            taken.append(take(candidate.place.id, request.worker, prefix: candidate.prefix, at: now))
        }
        if !request.models.isEmpty {
            let begun = taken.isEmpty ? [] : chosen.subtracting([""])
            workers[request.worker]!.atHand = begun.union(wishes.busyModels + wishes.idleModels)
        }
        return taken
    }

    private func candidates(_ request: ClaimRequest, at now: Double) -> [Candidate] {
        ready.filter { lane, _ in
            request.queues.contains(lane.queue) && queues[lane.queue]?.isPaused == false
                && request.kinds.contains(lane.kind) && (lane.model.isEmpty || request.models.contains(lane.model))
        }.flatMap { lane, line in
            line.filter { !isKept($0.id, at: now) }.map { place in
                Candidate(
                    lane: lane, place: place, isSuspect: isSuspect(place.id),
                    prefix: PrefixChain.of(entries[place.id]!.job))
            }
        }.sorted { $0.place < $1.place }
    }

    /// The busy models, and beside them as many as there are places: an overdue job's, then those in memory, but none that
    /// other workers have too while there is one that nobody has.
    private func chosenModels(
        _ line: [Candidate], _ wishes: Affinity, of worker: WorkerID, horizon: Double
    ) -> Set<String> {
        let heads = Dictionary(line.map { ($0.lane.model, $0.place) }, uniquingKeysWith: min)
            .filter { !$0.key.isEmpty && !wishes.busyModels.contains($0.key) }
        func order(_ model: String, _ head: Place) -> (Int, Int, Int, Int, Place) {
            let elsewhere = workers.count { !$1.isLost && $0 != worker && $1.atHand.contains(model) }
            return (
                head.time > horizon ? 1 : 0, min(elsewhere, 1), wishes.idleModels.contains(model) ? 0 : 1, elsewhere,
                head
            )
        }
        let beside = heads.sorted { order($0.key, $0.value) < order($1.key, $1.value) }.prefix(wishes.places)
        return Set(wishes.busyModels + beside.map(\.key) + [""])
    }

    /// Those that begin like what the worker has read, the longest first, or else like the oldest job.
    private func near(
        _ line: [Candidate], _ wishes: Affinity, _ atHand: Set<String>, horizon: Double, _ maximum: Int
    ) -> [Candidate] {
        let trusted = line.filter { !$0.isSuspect && !$0.lane.model.isEmpty }
        let oldest = trusted.first { atHand.contains($0.lane.model) } ?? trusted.first
        func closeness(_ candidate: Candidate) -> Int? {
            guard let prefix = candidate.prefix, candidate.place.time <= horizon else { return nil }
            let hot =
                wishes.hotPrefixes.filter { $0.model == candidate.lane.model }
                .map { PrefixChain.shared($0.chain, prefix) }.max() ?? 0
            if hot > 0 { return hot }
            let likeOldest = oldest?.lane.model == candidate.lane.model ? oldest?.prefix : nil
            return likeOldest.map { PrefixChain.shared($0, prefix) > 0 } == true ? 0 : nil
        }
        return trusted.compactMap { candidate in closeness(candidate).map { (candidate, $0) } }
            .sorted { (-$0.1, $0.0.prefix!, $0.0.place) < (-$1.1, $1.0.prefix!, $1.0.place) }
            .prefix(maximum).map(\.0)
    }

    /// One more death of a worker convicts it.
    func isSuspect(_ id: JobID) -> Bool {
        let job = entries[id]!.job
        return job.workerDeaths >= job.maximumWorkerDeaths - 1
    }

    // MARK: Limits

    func used(_ scope: RunLimit.Scope, _ name: String) -> Int {
        leases.keys.count { self.name(of: $0, scope) == name }
    }

    func name(of id: JobID, _ scope: RunLimit.Scope) -> String? {
        let entry = entries[id]!
        return switch scope {
        case .queue: entry.job.queue
        case .tenant: entry.job.tenant
        case .key: entry.limitKey
        }
    }

    /// A limit of the job's is reached, or there is too little left of a rate.
    private func isKept(_ id: JobID, at now: Double) -> Bool {
        limits.contains { limit in
            name(of: id, limit.scope) == limit.name && used(limit.scope, limit.name) >= limit.running
        } || isBeyondRates(id, at: now)
    }
}

/// As `millrace.prefix_chain`, with hashes of its own: chains of one store are never compared with another's.
enum PrefixChain {
    static func of(_ job: Job) -> String? {
        guard [.generate, .score].contains(job.kind) else { return nil }
        let fields = ["tools", "system", "prompt", "messages"].compactMap { job.input[$0] }
        let text = Array(fields.map { $0.stringValue ?? $0.text() }.joined().unicodeScalars)
        let hashes = (0..<8).map { 256 << $0 }.prefix { $0 <= text.count }.map { length in
            text.prefix(length).reduce(UInt32(2_166_136_261)) { ($0 ^ $1.value) &* 16_777_619 }
        }
        return hashes.isEmpty ? nil : hashes.map { String(String($0 >> 16 | 0x10000, radix: 16).dropFirst()) }.joined()
    }

    /// Lengths that two chains have in common.
    static func shared(_ one: String, _ other: String) -> Int {
        zip(one.utf8, other.utf8).prefix { $0 == $1 }.count / 4
    }
}
