// The protocol of leases, fences and outbox, explored: every order of what clients, workers and publishers may do, for a few
// of each. The rules are MemoryQueue's, which the interleaving tests hold against the SQL.
import Foundation
import JSON
import JobModel
import Testing

@testable import JobStorage

/// A moment of a small world.
private struct World {
    var queue = MemoryQueue(backoff: Backoff(first: 5, longest: 5, jitter: 0))
    var now = 0.0
    /// Leases that workers believe to hold, also those that are stale.
    var held: [Lease] = []
    var published: [JobID: Int] = [:]
    /// Results that the queue took.
    var accepted: [JobID: Int] = [:]
    /// What may still happen, so that the world is finite.
    var claims: Int
    var ticks: Int
    var cancels: Int

    enum Step: Hashable {
        case claim(WorkerID), loseClaim(WorkerID), beat(WorkerID), handBack(WorkerID), unregister(WorkerID)
        case complete(Int, Int), report(Int), cancel(JobID)
        case tick, maintain, relay
    }

    static let workers = (1...2).map { UUID(uuidString: "00000000-0000-0000-0000-00000000000\($0)")! }
    private static let failure = JobFailure(code: "c", message: "m")
    private static let outcomes: [Outcome] = [
        .succeeded(result: ["text": "x"], usage: nil), .retry(failure, after: 0), .retry(failure, after: nil),
        .released(), .failed(failure), .cancelled(result: nil, usage: nil),
    ]

    init(jobs: Int, workers: Int, claims: Int, ticks: Int, cancels: Int) throws {
        (self.claims, self.ticks, self.cancels) = (claims, ticks, cancels)
        for worker in Self.workers.prefix(workers) { try register(worker) }
        _ = try queue.enqueue(
            (0..<jobs).map { _ in NewJob(kind: .noop, input: [:], maximumAttempts: 2, maximumWorkerDeaths: 2) },
            at: now)
    }

    private mutating func register(_ worker: WorkerID) throws {
        try queue.register(WorkerRegistration(id: worker, name: "w", host: "h", processID: 1, profile: [:]), at: now)
    }

    private func request(_ worker: WorkerID, _ maximum: Int) -> ClaimRequest {
        ClaimRequest(worker: worker, queues: ["default"], kinds: [.noop], models: [], maximum: maximum)
    }

    var steps: [Step] {
        var steps: [Step] = [.maintain]
        for worker in queue.workers.keys.sorted() {
            if claims > 0 { steps += [.claim(worker), .loseClaim(worker)] }
            steps += [.beat(worker), .handBack(worker), .unregister(worker)]
        }
        for lease in held.indices {
            steps.append(.report(lease))
            for outcome in Self.outcomes.indices { steps.append(.complete(lease, outcome)) }
        }
        if cancels > 0 { steps += queue.entries.keys.sorted().map { .cancel($0) } }
        if ticks > 0 { steps.append(.tick) }
        if !queue.outbox.isEmpty { steps.append(.relay) }
        return steps
    }

    /// - Returns: what the step broke; nil when all is well.
    mutating func take(_ step: Step) throws -> String? {
        switch step {
        case .claim(let worker), .loseClaim(let worker):
            claims -= 1
            let last = queue.lastToken
            guard let leases = try? queue.claim(request(worker, 2), at: now) else { break }
            guard leases.allSatisfy({ $0.runToken > last }) else { return "a run token did not grow" }
            // The answer of the second sort never arrives.
            if case .claim = step { held += leases }
        case .beat(let worker): _ = queue.beat(worker, isDraining: false, at: now)
        case .handBack(let worker):
            let known = held.map(\.runToken)
            let before = queue.leases
            for job in queue.handBack(of: worker, except: known, at: now)
            where known.contains(before[job]!.runToken) || before[job]!.worker != worker {
                return "job \(job) was taken from a worker that knows of it"
            }
        case .unregister(let worker): queue.unregister(worker)
        case .complete(let place, let outcome):
            // What a worker has reported it forgets.
            let lease = held.remove(at: place)
            let isHeld = queue.leases[lease.id]?.runToken == lease.runToken
            let completion = Completion(lease: lease, outcome: Self.outcomes[outcome])
            let states = queue.complete([completion], at: now)
            guard (states[lease.id] != nil) == isHeld else { return "an attempt without a lease was heard" }
            if states[lease.id] == .succeeded { accepted[lease.id, default: 0] += 1 }
        case .report(let place):
            let lease = held[place]
            let isHeld = queue.leases[lease.id]?.runToken == lease.runToken
            let report = ProgressReport(id: lease.id, runToken: lease.runToken, progress: [1])
            guard (queue.report([report])[lease.id] != nil) == isHeld else { return "a stale report was taken" }
        case .cancel(let job):
            cancels -= 1
            _ = try queue.cancel(job, at: now)
        case .tick:
            ticks -= 1
            now += 6
        case .maintain:
            _ = queue.rescue(maximum: 1, at: now)
            _ = queue.promote(maximum: 1, at: now)
        case .relay: published[queue.outbox.removeFirst().id, default: 0] += 1
        }
        return fault
    }

    /// What must hold at every moment.
    private var fault: String? {
        for (id, entry) in queue.entries {
            let state = entry.job.state
            let isReady = queue.ready.values.contains { $0.contains { $0.id == id } }
            let places = [
                (JobState.ready, isReady), (.scheduled, queue.scheduled[id] != nil),
                (.running, queue.leases[id] != nil),
            ]
            for (place, isThere) in places where isThere != (state == place) {
                return "job \(id) is \(state), not where it belongs"
            }
            let events = published[id, default: 0] + queue.outbox.count { $0.id == id }
            if events != (state.isFinal ? 1 : 0) { return "job \(id) is \(state) with \(events) events" }
            if accepted[id, default: 0] != (state == .succeeded ? 1 : 0) {
                return "job \(id): a result was lost or taken twice"
            }
            if entry.job.failures >= 2 || entry.job.workerDeaths > 2 { return "job \(id) was tried too often" }
        }
        for (id, lease) in queue.leases where queue.workers[lease.worker] == nil {
            return "the lease of \(id) is nobody's"
        }
        return nil
    }

    /// From every moment a worker that lives can bring everything to its end.
    func finishes() throws -> Bool {
        var world = self
        let helper = WorkerID()
        try world.register(helper)
        for _ in 0..<8 {
            world.now += 20
            _ = world.queue.beat(helper, isDraining: false, at: world.now)
            _ = world.queue.rescue(maximum: 10, at: world.now)
            _ = world.queue.promote(maximum: 10, at: world.now)
            let leases = try world.queue.claim(world.request(helper, 10), at: world.now)
            _ = world.queue.complete(leases.map { Completion(lease: $0, outcome: Self.outcomes[0]) }, at: world.now)
        }
        return world.queue.entries.values.allSatisfy(\.job.state.isFinal)
    }

    /// Two moments with the same description have the same future: times count from now, tokens by their order.
    var description: String {
        let tokens = Set(held.map(\.runToken) + queue.leases.values.map(\.runToken)).sorted()
        func rank(_ token: RunToken) -> Int { tokens.firstIndex(of: token)! }
        func name(_ worker: WorkerID) -> Int { Self.workers.firstIndex(of: worker)! }
        var parts = ["\(claims) \(ticks) \(cancels)"]
        for id in queue.entries.keys.sorted() {
            let entry = queue.entries[id]!
            let lease = queue.leases[id].map {
                "\(rank($0.runToken)) \(name($0.worker)) \($0.isCancelRequested) \($0.isSuspect)"
            }
            let due = queue.scheduled[id].map { "\($0 - now)" }
            parts.append(
                "\(entry.job.state) \(entry.job.failures) \(entry.job.workerDeaths) \(lease ?? "") \(due ?? "") "
                    + "\(published[id, default: 0]) \(accepted[id, default: 0])")
        }
        parts.append(held.map { "\($0.id) \(rank($0.runToken)) \($0.failures)" }.sorted().joined(separator: ","))
        parts.append(queue.outbox.map { "\($0.id)" }.joined(separator: ","))
        for worker in queue.workers.keys.sorted() {
            let silence = min(now - queue.workers[worker]!.beatAt, 12)
            parts.append("\(name(worker)) \(silence) \(queue.workers[worker]!.isLost)")
        }
        return parts.joined(separator: "|")
    }
}

@Suite struct StateSpaceTests {
    /// One job in depth, and two jobs that share workers.
    @Test(arguments: [(1, 2, 4, 3, 1), (2, 2, 2, 1, 0), (2, 1, 3, 2, 0)])
    func everyOrderOfStepsKeepsThePromise(jobs: Int, workers: Int, claims: Int, ticks: Int, cancels: Int) throws {
        let start = try World(jobs: jobs, workers: workers, claims: claims, ticks: ticks, cancels: cancels)
        var seen: Set<String> = [start.description]
        var frontier = [start]
        var moves = 0
        while let world = frontier.popLast() {
            for step in world.steps {
                var next = world
                moves += 1
                if let fault = try next.take(step) {
                    Issue.record("\(step) at \(world.description): \(fault)")
                    return
                }
                guard seen.insert(next.description).inserted else { continue }
                guard try next.finishes() else {
                    Issue.record("no end after \(step) at \(world.description)")
                    return
                }
                frontier.append(next)
            }
        }
        print("\(jobs) jobs, \(workers) workers, \(claims) claims: \(seen.count) states, \(moves) steps")
        #expect(seen.count > 1000)
    }
}
