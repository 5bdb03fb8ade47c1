// One run of random operations on two stores. A job is known by the order in which it came, since the stores number
// independently.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport

struct Disagreement: Error, CustomStringConvertible { let description: String }

struct Simulation {
    struct Side {
        let world: StoreUnderTest
        var ids: [JobID] = []
        /// Every lease ever handed out; old ones are what a worker that was thought dead still holds.
        var leases: [Lease] = []
        var store: any JobStore { world.store }

        func index(_ id: JobID) -> Int { ids.firstIndex(of: id) ?? -1 }
    }

    let seed: UInt64
    let pool: PostgresPool
    var random: SeededRandom
    var model: Side
    var real: Side
    var workers: [WorkerID] = []
    var log: [String] = []
    var last = Observation()
    /// Events that a publisher took, by job.
    var published: [Int: Int] = [:]
    var retriesByHand: [Int: Int] = [:]
    var acceptedTokens: Set<RunToken> = []
    var lastToken: RunToken = 0
    /// The database's clock when time stopped for it.
    private var stoppedAt: Double?

    init(seed: UInt64, pool: PostgresPool) {
        self.seed = seed
        self.pool = pool
        random = SeededRandom(seed: seed)
        model = Side(world: .memory())
        real = Side(world: .postgres(pool))
    }

    mutating func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random)! }
    mutating func roll(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    func disagree(_ what: String) -> Disagreement {
        Disagreement(
            description: "seed \(seed), step \(log.count): \(what)\nthe last steps:\n"
                + log.suffix(30).joined(separator: "\n"))
    }

    /// Before the first step.
    mutating func prepare() async throws {
        for queue in ["a", "b"] {
            for side in [model, real] { try await side.store.setPriorityStep(1e6, queue: queue) }
        }
    }

    // MARK: Steps

    mutating func step() async throws {
        if workers.count < 2 { try await register() }
        switch roll(0...99) {
        case 0..<16: try await enqueue()
        case 16..<38: try await claim()
        case 38..<58: try await complete()
        case 58..<66: try await report()
        case 66..<72: try await beat()
        case 72..<78: try await advance(Double(7 * pick([1, 1, 2, 6, 18])))
        case 78..<85: try await maintain(pick([1, 2, 100]))
        case 85..<89: try await cancel()
        case 89..<92: try await retry()
        case 92..<94: try await relay()
        case 94..<95: try await unregister()
        case 95..<97: try await handBack()
        case 97..<98: try await pick([0, 1, 2]) == 0 ? setPriorityStep() : pause()
        case 98..<99: try await redrive()
        default: if workers.count < 4 { try await register() } else { try await beat() }
        }
        try await compare()
    }

    /// The same operation on both sides; both must answer alike.
    mutating func both<Answer: Equatable>(
        _ what: String, _ operation: (inout Side) async throws -> Answer
    ) async throws -> Answer? {
        log.append(what)
        try await leaveLimits()
        func answer(_ side: inout Side) async throws -> Result<Answer, Fault> {
            do {
                return .success(try await operation(&side))
            } catch let error as StoreError {
                return .failure(Fault(error))
            }
        }
        let expected = try await answer(&model)
        // The database's time passes in its operations only, and the model's with it.
        let start = try await goOn()
        let found = try await answer(&real)
        let end = try await databaseTime()
        try await model.world.advance(end - start)
        stoppedAt = end
        guard expected == found else { throw disagree("expected \(expected), found \(found)") }
        return try? found.get()
    }

    /// Takes back the time that passed since the last operation. Returns the database's clock.
    @discardableResult
    mutating func goOn() async throws -> Double {
        let start = try await databaseTime()
        if let stoppedAt { try await real.world.advance(stoppedAt - start) }
        stoppedAt = start
        return start
    }

    /// The model does an operation at its beginning, the database somewhere in it. So no time at which something changes may
    /// lie within one: where one is near, the clocks of both jump over it.
    private mutating func leaveLimits() async throws {
        while let stoppedAt {
            let near = try await pool.query(Self.nearLimits, [stoppedAt])
            guard try near[0].get("near", as: Bool.self) else { return }
            try await real.world.advance(3)
            try await model.world.advance(3)
        }
    }

    /// Whether something changes between a second before $1 and four seconds after it, more than operations take.
    private static let nearLimits: SQL = """
        WITH limits AS (
            SELECT run_at AS at FROM millrace.scheduled UNION ALL SELECT deadline FROM millrace.deadlines
            UNION ALL SELECT beat_at + millrace.worker_timeout() FROM millrace.workers WHERE NOT lost
        )
        SELECT EXISTS (SELECT FROM limits WHERE at BETWEEN to_timestamp($1) - interval '1 second'
                       AND to_timestamp($1) + interval '4 seconds') AS near
        """

    private func databaseTime() async throws -> Double {
        let rows = try await pool.query("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
        return try rows[0].get("now")
    }

    private mutating func register() async throws {
        let id = WorkerID()
        workers.append(id)
        let registration = WorkerRegistration(id: id, name: "w", host: "h", processID: 1, profile: [:])
        _ = try await both("register \(workers.count - 1)") { side in
            try await side.store.register(registration)
            return true
        }
    }

    private mutating func enqueue() async throws {
        var jobs: [NewJob] = []
        /// Of each job, those that it depends on.
        var needs: [[Int]] = []
        for _ in 0..<roll(1...6) {
            let known = model.ids.count
            needs.append(
                known == 0 || roll(0...3) > 0 ? [] : (0..<roll(1...3)).map { _ in roll(max(0, known - 12)...known - 1) }
            )
            // Times are never near a multiple of 7 seconds, by which the clock jumps, so it seldom jumps for nothing.
            jobs.append(
                NewJob(
                    kind: roll(0...100) == 0 ? "nosuch" : .noop, input: ["n": .integer(Int64(roll(0...9)))],
                    queue: pick(["a", "b"]), priority: pick([0, 0, 0, -1, 1]), delay: pick([nil, nil, 24.5, 94.5]),
                    maximumAttempts: roll(1...3),
                    retryPolicy: pick([nil, nil, RetryPolicy(.none), RetryPolicy(.fixed, delay: 45.5)]),
                    maximumWorkerDeaths: roll(1...3), timeToStart: pick([nil, nil, nil, nil, 17.5, 101.5]),
                    uniqueKey: roll(0...9) == 0 ? pick(["k", "l"]) : nil,
                    onDependencyFailure: pick([nil, .cancel, .run])))
        }
        _ = try await both("enqueue \(jobs.map { "\($0.queue!) \($0.priority!) \($0.delay ?? 0)" }) after \(needs)") {
            side in
            var jobs = jobs
            for (number, needed) in needs.enumerated() { jobs[number].dependsOn = needed.map { side.ids[$0] } }
            side.ids += try await side.store.enqueue(jobs)
            return side.ids.count
        }
    }

    private mutating func claim() async throws {
        let queues = pick([["a"], ["b"], ["a", "b"]])
        let (worker, maximum) = (pick(workers), roll(0...4))
        let request = ClaimRequest(worker: worker, queues: queues, kinds: [.noop], models: [], maximum: maximum)
        let number = workers.firstIndex(of: worker)!
        let claimed = try await both("claim \(maximum) of \(queues) by \(number)") { side in
            let leases = try await side.store.claim(request)
            side.leases += leases
            return leases.map { "\(side.index($0.id)) \($0.attempt) \($0.input.text()) \($0.progress?.text() ?? "")" }
        }
        // A worker that was found dead starts over under another id.
        if claimed == nil { workers.removeAll { $0 == worker } }
        let tokens = real.leases.suffix(claimed?.count ?? 0).map(\.runToken)
        guard tokens.allSatisfy({ $0 > lastToken }) else { throw disagree("a run token did not grow") }
        lastToken = tokens.max() ?? lastToken
        for lease in real.leases.suffix(tokens.count) where last.jobs[real.index(lease.id)].state != .ready {
            throw disagree("job \(real.index(lease.id)) was claimed, but not ready")
        }
    }

    private mutating func outcome() -> Outcome {
        let failure = JobFailure(code: "c\(roll(0...9))", message: "m")
        return switch roll(0...7) {
        case 0: .failed(failure)
        case 1: .retry(failure, after: pick([0, nil]))
        case 2: .retry(failure, after: pick([31.5, 66.5]))
        case 3: .released(after: pick([0, 0, 38.5]))
        case 4: .cancelled(result: pick([nil, ["half": true]]), usage: nil)
        default: .succeeded(result: ["r": .integer(Int64(roll(0...99)))], usage: ["total_tokens": 1])
        }
    }

    /// Leases, the latest ones more often.
    private mutating func chooseLeases(_ count: Int) -> [Int] {
        let all = model.leases.count
        guard all > 0 else { return [] }
        let chosen = (0..<count).map { _ in roll(0...3) == 0 ? roll(0...all - 1) : roll(max(0, all - 6)...all - 1) }
        return Array(Set(chosen)).sorted()
    }

    private mutating func complete() async throws {
        var given = chooseLeases(roll(1...4)).map { ($0, outcome()) }
        if roll(0...5) == 0, let first = given.first { given.append(first) }
        let accepted = try await both("complete \(given.map { "\(model.index(model.leases[$0.0].id)): \($0.1)" })") {
            side in
            let completions = given.map { Completion(lease: side.leases[$0.0], outcome: $0.1) }
            return Dictionary(
                uniqueKeysWithValues: try await side.store.complete(completions).map { (side.index($0), $1) })
        }
        for job in (accepted ?? [:]).keys {
            let tokens = given.map { real.leases[$0.0] }.filter { real.index($0.id) == job }.map(\.runToken)
            guard acceptedTokens.insert(tokens.max()!).inserted else { throw disagree("\(job) was accepted twice") }
        }
    }

    private mutating func report() async throws {
        let given = chooseLeases(roll(1...3))
        let text = JSONValue.string("t\(roll(0...99))")
        // One report of a job at most, as of a worker.
        let jobs = given.map { model.index(model.leases[$0].id) }
        guard Set(jobs).count == jobs.count else { return }
        _ = try await both("report \(jobs)") { side in
            let reports = given.map { side.leases[$0] }.map { lease in
                ProgressReport(id: lease.id, runToken: lease.runToken, progress: ["text": text])
            }
            return Dictionary(uniqueKeysWithValues: try await side.store.report(reports).map { (side.index($0), $1) })
        }
    }

    private mutating func beat() async throws {
        let (isDraining, silent) = (roll(0...5) == 0, roll(-3...3))
        for (number, worker) in workers.enumerated() where number != silent {
            let pulse: Pulse? = try await both("beat \(number)") { side in
                let pulse = try await side.store.beat(worker, isDraining: isDraining)
                let cancelled = pulse.cancelled.map { JobID(side.index($0)) }
                return Pulse(isAlive: pulse.isAlive, cancelled: cancelled.sorted())
            }
            if pulse?.isAlive == false { workers.removeAll { $0 == worker } }
        }
    }

    mutating func advance(_ seconds: Double) async throws {
        _ = try await both("advance \(seconds)") { side in
            try await side.world.advance(seconds)
            return true
        }
    }

    mutating func maintain(_ maximum: Int) async throws {
        _ = try await both("maintain \(maximum)") { try await $0.store.maintain(maximum: maximum) }
    }

    private mutating func cancel() async throws {
        guard !model.ids.isEmpty else { return }
        // Those that run are the interesting ones.
        let held = roll(0...3) == 0 ? [] : chooseLeases(1)
        let job = held.first.map { model.index(model.leases[$0].id) } ?? roll(0...model.ids.count - 1)
        _ = try await both("cancel \(job)") { try await $0.store.cancel($0.ids[job]) }
    }

    private mutating func retry() async throws {
        guard !model.ids.isEmpty else { return }
        let job = roll(0...model.ids.count - 1)
        if try await both("retry \(job)", { try await $0.store.retry($0.ids[job]) }) != nil {
            retriesByHand[job, default: 0] += 1
        }
    }

    private mutating func redrive() async throws {
        guard !model.ids.isEmpty else { return }
        let filter = DeadLetterFilter(queue: pick([nil, "a"]), code: pick([nil, nil, "poison", "c1"]))
        let (after, maximum) = (roll(0...model.ids.count - 1), roll(1...4))
        let redriven = try await both("redrive \(maximum) of \(filter) after \(after)") { side in
            let redrive = try await side.store.redrive(filter, after: side.ids[after], maximum: maximum)
            return [redrive.seen, redrive.last.map { side.index($0) } ?? -1] + redrive.redriven.map { side.index($0) }
        }
        for job in (redriven ?? []).dropFirst(2) { retriesByHand[job, default: 0] += 1 }
    }

    /// Never a step that may be near a difference of times: which job is first would be a matter of microseconds.
    private mutating func setPriorityStep() async throws {
        let (queue, step) = (pick(["a", "b"]), pick([0, 1e6]))
        _ = try await both("priority step \(queue) \(step)") { side in
            try await side.store.setPriorityStep(step, queue: queue)
            return true
        }
    }

    private mutating func relay() async throws {
        let (maximum, fails) = (roll(1...5), roll(0...3) == 0)
        let events = try await both("relay \(maximum)\(fails ? " in vain" : "")") { side in
            try await side.take(maximum, fails: fails)
        }
        if !fails { for event in events ?? [] { published[event.job, default: 0] += 1 } }
    }

    private mutating func unregister() async throws {
        let worker = workers.remove(at: roll(0...workers.count - 1))
        _ = try await both("unregister a worker, \(workers.count) stay") { side in
            try await side.store.unregister(worker)
            return true
        }
    }

    private mutating func handBack() async throws {
        let worker = pick(workers)
        let known = chooseLeases(4)
        _ = try await both("hand back of \(workers.firstIndex(of: worker)!), except \(known)") { side in
            try await side.store.handBack(of: worker, except: known.map { side.leases[$0].runToken })
                .map { side.index($0) }.sorted()
        }
    }

    private mutating func pause() async throws {
        let (queue, isPaused) = (pick(["a", "b"]), roll(0...2) == 0)
        _ = try await both("pause \(queue) \(isPaused)") { side in
            try await side.store.setPaused(isPaused, queue: queue)
            return true
        }
    }

    // MARK: The end

    /// Lets a new worker do all that is left.
    mutating func finish() async throws {
        workers = []
        try await register()
        for queue in ["a", "b"] {
            _ = try await both("resume \(queue)") { side in
                try await side.store.setPaused(false, queue: queue)
                return true
            }
        }
        for _ in 0..<200 where !last.jobs.allSatisfy(\.state.isFinal) {
            try await advance(7)
            try await maintain(100)
            // The one before may have been found dead.
            workers = []
            try await register()
            let request = ClaimRequest(
                worker: workers[0], queues: ["a", "b"], kinds: [.noop], models: [], maximum: 100)
            _ = try await both("finish") { side in
                let completions = try await side.store.claim(request).map { Completion(lease: $0, outcome: .done) }
                return try await side.store.complete(completions).count
            }
            try await compare()
        }
        guard last.jobs.allSatisfy(\.state.isFinal) else { throw disagree("jobs are left over") }
    }
}
