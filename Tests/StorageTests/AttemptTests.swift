// What follows attempts that brought no result, and whose turn is next: the same cases for every store.
import Foundation
import JSON
import JobModel
import JobStorage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct AttemptTests {
    @Test(arguments: StoreKind.allCases)
    func eachJobHasItsRetryPolicy(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let cases: [(RetryPolicy?, [JobState?], [Double])] = [
                (nil, [.scheduled, .scheduled, .failed], [60, 120]),
                (RetryPolicy(.exponential, delay: 10), [.scheduled, .scheduled, .failed], [10, 20]),
                (RetryPolicy(.fixed, delay: 30), [.scheduled, .scheduled, .failed], [30, 30]),
                (RetryPolicy(.fixed, delay: 0), [.ready, .ready, .failed], [0, 0]),
                (RetryPolicy(.none), [.failed], []),
            ]
            for (policy, states, waits) in cases {
                let id = try await store.enqueueOne(
                    NewJob(kind: .noop, input: [:], maximumAttempts: 3, retryPolicy: policy))
                #expect(try await store.job(id).retryPolicy == policy ?? RetryPolicy())
                for (number, state) in states.enumerated() {
                    let lease = try await store.claim(try await store.worker(), 1)[0]
                    #expect(lease.retryPolicy == policy ?? RetryPolicy())
                    #expect(try await store.complete(lease, .retry(Outcome.unlucky, after: nil)) == state)
                    guard number < waits.count, waits[number] > 0 else { continue }
                    try await world.advance(waits[number] - 4)
                    #expect(try await store.maintain(maximum: 10).promoted == 0)
                    try await world.advance(8)
                    #expect(try await store.maintain(maximum: 10).promoted == 1)
                }
            }
            // The wait that a handler asks for goes before the policy, but not before its end.
            let patient = try await store.enqueueOne(
                NewJob(kind: .noop, input: [:], retryPolicy: RetryPolicy(.fixed, delay: 600)))
            let lease = try await store.claim(try await store.worker(), 1)[0]
            #expect(try await store.complete(lease, .retry(Outcome.unlucky, after: 0)) == .ready)
            #expect(try await store.job(patient).state == .ready)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aSnoozedJobWaitsAndKeepsItsAttempts(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne(NewJob(kind: .noop, input: [:], maximumAttempts: 1))
            for _ in 0..<3 {
                let lease = try await store.claim(try await store.worker(), 1)[0]
                #expect(lease.attempt == 1)
                #expect(
                    try await store.report([ProgressReport(id: id, runToken: lease.runToken, progress: [1])])[id]
                        == false)
                #expect(try await store.complete(lease, .released(after: 30)) == .scheduled)
                #expect(try await store.progress(of: id) == [1])
                try await world.advance(20)
                #expect(try await store.maintain(maximum: 10).promoted == 0)
                try await world.advance(20)
                #expect(try await store.maintain(maximum: 10).promoted == 1)
            }
            #expect(try await store.attempts(of: id).map(\.ending) == [.released, .released, .released])
        }
    }

    /// Of the jobs in a batch that died, none is known to be guilty; run apart from each other, the one that kills again is.
    @Test(arguments: StoreKind.allCases)
    func theInnocentAreToldFromTheGuilty(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<5).map { _ in NewJob(kind: .noop, input: [:]) })
            let killer = ids[2]
            for _ in 0..<2 {
                #expect(try await store.claim(try await store.worker(), 10).map(\.id) == ids)
                try await world.advance(11)
                #expect(try await store.maintain(maximum: 100).rescued == 5)
            }
            let fresh = try await store.enqueueOne()
            for round in 0..<5 {
                let worker = try await store.worker()
                let leases = try await store.claim(worker, 10)
                // Beside others one suspect, and no second one while it runs.
                #expect(leases.map(\.id) == [ids[round]] + (round == 0 ? [fresh] : []))
                #expect(try await store.claim(worker, 10).isEmpty)
                if leases[0].id == killer {
                    try await world.advance(11)
                    #expect(try await store.maintain(maximum: 100).rescued == 1)
                } else {
                    _ = try await store.complete(leases.map { Completion(lease: $0, outcome: .done) })
                }
            }
            for id in ids {
                let job = try await store.job(id)
                #expect(job.state == (id == killer ? .failed : .succeeded))
                #expect(job.workerDeaths == (id == killer ? 3 : 2))
            }
            #expect(try await store.job(killer).error?["code"] == "poison")
            // By hand it gets another chance, and begins without a record.
            #expect(try await store.retry(killer) == .ready)
            #expect(try await store.job(killer).workerDeaths == 0)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aDeathThatASuspectCausedIsNotCountedForTheOthers(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let killer = try await store.enqueueOne(NewJob(kind: .noop, input: [:], maximumWorkerDeaths: 2))
            _ = try await store.claim(try await store.worker(), 1)
            try await world.advance(11)
            #expect(try await store.maintain(maximum: 10).rescued == 1)
            let others = try await store.enqueue((0..<4).map { _ in NewJob(kind: .noop, input: [:]) })
            #expect(try await store.claim(try await store.worker(), 10).count == 5)
            try await world.advance(11)
            // In more than one step: the suspect is taken last.
            #expect(try await store.maintain(maximum: 2).rescued == 2)
            #expect(try await store.maintain(maximum: 10).rescued == 3)
            #expect(try await store.job(killer).workerDeaths == 2)
            for id in others { #expect(try await store.job(id).workerDeaths == 0) }
        }
    }

    /// A step of priority is worth a wait, so a job that waited long goes before a newer one that is more urgent.
    @Test(arguments: StoreKind.allCases)
    func prioritiesAge(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let worker = try await store.worker()
            func order(_ jobs: [(priority: Int, wait: Double)]) async throws -> [Int] {
                var ids: [JobID] = []
                for job in jobs {
                    ids.append(try await store.enqueueOne(NewJob(kind: .noop, input: [:], priority: job.priority)))
                    try await world.advance(job.wait)
                    _ = try await store.beat(worker, isDraining: false)
                }
                let leases = try await store.claim(worker, 100)
                _ = try await store.complete(leases.map { Completion(lease: $0, outcome: .done) })
                return leases.map { ids.firstIndex(of: $0.id)! }
            }
            // Ten minutes a step.
            #expect(try await order([(1, 500), (0, 0)]) == [1, 0])
            #expect(try await order([(1, 700), (0, 0)]) == [0, 1])
            #expect(try await order([(100, 59_000), (0, 0), (-1, 2000), (0, 0)]) == [2, 1, 0, 3])
            try await store.setPriorityStep(0, queue: "default")
            #expect(try await order([(100, 1), (-100, 1), (0, 0)]) == [0, 1, 2])
            try await store.setPriorityStep(8_640_000, queue: "default")
            #expect(try await order([(1, 1_000_000), (0, 0)]) == [1, 0])
            for bad in [-1.0, 8_640_001] {
                let error = await #expect(throws: StoreError.self) {
                    try await store.setPriorityStep(bad, queue: "default")
                }
                #expect(error.map { Fault($0) } == .refused(field: "priority_step"))
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func failedJobsAreRedriven(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let worker = try await store.worker()
            func fail(_ code: String, queue: String, key: String? = nil) async throws -> JobID {
                let id = try await store.enqueueOne(
                    NewJob(kind: .noop, input: [:], queue: queue, retryPolicy: RetryPolicy(.none), uniqueKey: key))
                let lease = try await store.claim(
                    ClaimRequest(worker: worker, queues: [queue], kinds: [.noop], models: [], maximum: 1))[0]
                #expect(
                    try await store.complete(lease, .retry(JobFailure(code: code, message: "m"), after: nil)) == .failed
                )
                return id
            }
            let old = try await fail("x", queue: "a")
            try await world.advance(5)
            let failed = [
                try await fail("x", queue: "a"), try await fail("y", queue: "a"), try await fail("x", queue: "b"),
                try await fail("z", queue: "a", key: "k"),
            ]
            #expect(try await store.queues().map { "\($0.queue) \($0.dead)" } == ["a 4", "b 1"])
            func redrive(_ filter: DeadLetterFilter, after: JobID = 0, _ maximum: Int = 10) async throws -> Redrive {
                try await store.redrive(filter, after: after, maximum: maximum)
            }
            #expect(try await redrive(DeadLetterFilter(queue: "c")) == Redrive(seen: 0, last: nil, redriven: []))
            if kind == .memory {
                // Times of what ended stay where they are in the database.
                let recent = try await redrive(DeadLetterFilter(queue: "a", code: "x", failedWithin: 4))
                #expect(recent.redriven == [failed[0]])
            } else {
                #expect(try await redrive(DeadLetterFilter(failedWithin: 0)).seen == 0)
                #expect(try await redrive(DeadLetterFilter(code: "x"), after: old, 1).redriven == [failed[0]])
            }
            #expect(try await redrive(DeadLetterFilter(queue: "a", code: "y")).redriven == [failed[1]])
            #expect(try await redrive(DeadLetterFilter(kind: "noop", code: "x"), 1).redriven == [old])
            // Another job has the key now.
            let other = try await store.enqueueOne(NewJob(kind: .noop, input: [:], uniqueKey: "k"))
            #expect(
                try await redrive(DeadLetterFilter()) == Redrive(seen: 2, last: failed[3], redriven: [failed[2]]))
            #expect(try await store.cancel(other) == .cancelled)
            #expect(try await redrive(DeadLetterFilter()).redriven == [failed[3]])
            #expect(try await redrive(DeadLetterFilter()).seen == 0)
            for id in failed {
                let job = try await store.job(id)
                #expect(job.state == .ready && job.finishedAt == nil && job.maximumAttempts >= 2)
            }
            #expect(
                try await store.queues().map { "\($0.queue) \($0.ready) \($0.dead)" } == [
                    "a 4 0", "b 1 0", "default 0 0",
                ])
        }
    }
}
