// Work that is not done twice: as migrations/0017_reuse.
import JSON
import JobModel

/// Equal for jobs of one tenant whose results are equal.
struct ReuseKey: Hashable, Sendable {
    let kind: JobKind
    let model: String
    let digest: String
    let tenant: String
    /// Of its creation, since templates may print it.
    let day: String
    let input: String
}

/// A result that stands for equal jobs for a while.
struct Answer: Sendable {
    let id: JobID
    let keptUntil: Double
}

extension MemoryQueue {
    /// As `millrace.answer_lifetime`, in seconds.
    private static let answerLifetime = 3600.0
    private static let reusableKinds: Set<JobKind> = [.generate, .score, .embed]

    /// As many jobs as are wanted that need to be run.
    mutating func claimUnshared(_ request: ClaimRequest, at now: Double) throws(StoreError) -> [Lease] {
        var request = request
        var leases: [Lease] = []
        while request.maximum > 0 {
            let claimed = try claim(request, at: now)
            let spared = Set(claimed.sorted { $0.id < $1.id }.filter { joinFlight($0, at: now) }.map(\.id))
            leases += claimed.filter { !spared.contains($0.id) }
            request.maximum -= claimed.count - spared.count
            if spared.isEmpty { break }
        }
        return leases
    }

    /// - Returns: true when the job need not be run.
    private mutating func joinFlight(_ lease: Lease, at now: Double) -> Bool {
        guard let key = reuseKey(of: lease.id) else { return false }
        if let answer = answers[key], answer.keptUntil > now, let first = entries[answer.id]?.job,
            let result = first.result
        {
            if flights[key] == lease.id { flights[key] = nil }
            let outcome = Outcome.succeeded(result: result, usage: Self.marked(first.usage))
            _ = complete([Completion(lease: lease, outcome: outcome)], at: now)
            return true
        }
        guard let leader = flights[key], leader != lease.id, leases[leader] != nil else {
            // A leader that lost its worker, or is to be tried again, leads no more: the first that runs does.
            flights[key] = lease.id
            return false
        }
        let states = complete([Completion(lease: lease, outcome: .released(after: 1))], at: now)
        if states[lease.id] == .scheduled {
            scheduled[lease.id] = .infinity
            followers[lease.id] = key
        }
        return true
    }

    /// The job has ended: its followers get the result, or stand in line again.
    mutating func landFlight(of id: JobID, at now: Double) {
        followers[id] = nil
        guard let key = flights.first(where: { $0.value == id })?.key else { return }
        flights[key] = nil
        let job = entries[id]!.job
        guard job.state == .succeeded, let result = job.result else { return free(key) }
        let digest = result["model_digest"]?.stringValue ?? ""
        if digest == key.digest || digest.hasPrefix(key.digest + "+") {
            answers[key] = Answer(id: id, keptUntil: now + Self.answerLifetime)
        }
        for follower in followers.filter({ $0.value == key }).keys.sorted() {
            scheduled[follower] = nil
            end(follower, .succeeded, result: result, usage: Self.marked(job.usage), at: now)
        }
    }

    /// Leaders that don't run lead no more; old answers are forgotten.
    mutating func tendFlights(at now: Double) {
        answers = answers.filter { $0.value.keptUntil > now }
        for (key, leader) in flights where leases[leader] == nil { free(key) }
    }

    private mutating func free(_ key: ReuseKey) {
        for follower in followers.filter({ $0.value == key }).keys.sorted() {
            followers[follower] = nil
            scheduled[follower] = nil
            putInLine(follower)
        }
    }

    private func reuseKey(of id: JobID) -> ReuseKey? {
        let entry = entries[id]!
        guard entry.isReusable, Self.reusableKinds.contains(entry.job.kind), let model = models[entry.job.model] else {
            return nil
        }
        let base = model.base.flatMap { models[$0]?.digest }
        return ReuseKey(
            kind: entry.job.kind, model: entry.job.model, digest: base.map { $0 + "+" + model.digest } ?? model.digest,
            tenant: entry.job.tenant, day: String(entry.job.createdAt.prefix(10)), input: entry.job.input.text())
    }

    private static func marked(_ usage: JSONValue?) -> JSONValue {
        var members = usage?.objectValue ?? [:]
        members["cached_result"] = true
        return .object(members)
    }
}
