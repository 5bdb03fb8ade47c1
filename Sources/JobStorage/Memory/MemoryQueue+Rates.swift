// How fast jobs may begin: as migrations/0016_rates.
import JSON
import JobModel

extension MemoryQueue {
    struct Bucket: Sendable {
        var rate: JobRate
        var level: Double
        var asOf: Double

        func level(at now: Double) -> Double { min(rate.burst, level + rate.perSecond * max(0, now - asOf)) }

        mutating func add(_ amount: Double, at now: Double) {
            level = min(rate.burst, level(at: now) + amount)
            asOf = now
        }
    }

    mutating func setRate(_ rate: JobRate, at now: Double) {
        let index = bucket(rate.scope, rate.name, rate.unit)
        if let index {
            buckets[index].level = min(rate.burst, buckets[index].level(at: now))
            buckets[index].asOf = now
            buckets[index].rate = rate
        } else {
            buckets.append(Bucket(rate: rate, level: rate.burst, asOf: now))
        }
    }

    mutating func removeRate(_ scope: RunLimit.Scope, _ name: String, _ unit: JobRate.Unit) -> Bool {
        guard let index = bucket(scope, name, unit) else { return false }
        buckets.remove(at: index)
        return true
    }

    func rateSummaries(at now: Double) -> [RateSummary] {
        buckets.map { RateSummary(rate: $0.rate, level: $0.level(at: now)) }.sorted {
            ($0.rate.scope.rawValue, $0.rate.name, $0.rate.unit.rawValue)
                < ($1.rate.scope.rawValue, $1.rate.name, $1.rate.unit.rawValue)
        }
    }

    private func bucket(_ scope: RunLimit.Scope, _ name: String, _ unit: JobRate.Unit) -> Int? {
        buckets.firstIndex { $0.rate.scope == scope && $0.rate.name == name && $0.rate.unit == unit }
    }

    private func cost(_ id: JobID, _ unit: JobRate.Unit) -> Double {
        guard unit == .tokens else { return 1 }
        let job = entries[id]!.job
        let answer = job.kind == .generate ? job.input["max_tokens"]?.intValue ?? 256 : 0
        return Double(max(1, job.input.text().utf8.count / 4 + answer))
    }

    /// What costs more than the bucket holds goes when it is full.
    func isBeyondRates(_ id: JobID, at now: Double) -> Bool {
        buckets.contains { bucket in
            name(of: id, bucket.rate.scope) == bucket.rate.name
                && bucket.level(at: now) < min(cost(id, bucket.rate.unit), bucket.rate.burst)
        }
    }

    /// - Returns: what the job takes of each rate that it is under.
    mutating func reserve(_ id: JobID, at now: Double) -> [Reservation] {
        buckets.indices.filter { name(of: id, buckets[$0].rate.scope) == buckets[$0].rate.name }.map { index in
            let rate = buckets[index].rate
            let amount = cost(id, rate.unit)
            buckets[index].add(-amount, at: now)
            return Reservation(scope: rate.scope, name: rate.name, unit: rate.unit, amount: amount)
        }
    }

    /// An attempt costs what it used, and nothing when it was none or the result is that of an equal job.
    mutating func settle(
        _ reservations: [Reservation], _ ending: Transition.Ending, _ usage: JSONValue?, at now: Double
    ) {
        for taken in reservations {
            guard let index = bucket(taken.scope, taken.name, taken.unit) else { continue }
            var cost = taken.amount
            if taken.unit == .tokens, let tokens = usage?["total_tokens"]?.doubleValue { cost = tokens }
            if ending == .released || ending == .lost || usage?["cached_result"] == true { cost = 0 }
            buckets[index].add(taken.amount - cost, at: now)
        }
    }
}

extension MemoryQueue {
    struct Reservation: Sendable {
        let scope: RunLimit.Scope
        let name: String
        let unit: JobRate.Unit
        let amount: Double
    }
}
