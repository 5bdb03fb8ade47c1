// The rules of the queue: the same cases for every store.
import Foundation
import JSON
import JobModel
import JobStorage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ConformanceTests {
    // MARK: Entering

    @Test(arguments: StoreKind.allCases)
    func aJobEntersWithItsDefaults(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne(NewJob(kind: .noop, input: ["n": 1]))
            let job = try await store.job(id)
            #expect(job.state == .ready && job.attempt == 0 && job.maximumAttempts == 5 && job.priority == 0)
            #expect(job.queue == "default" && job.tenant == "" && job.model == "" && job.metadata == [:])
            #expect(job.input == ["n": 1])
            #expect(job.startedAt == nil && job.finishedAt == nil && job.result == nil && job.error == nil)
            #expect(try await store.enqueue([]).isEmpty)
            #expect(try await store.states(of: [id, 4711]) == [id: .ready])
            await #expect(throws: StoreError.self) { try await store.job(4711) }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func manyJobsEnterTogetherOrNotAtAll(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<50).map { NewJob(kind: .noop, input: ["n": .integer($0)]) })
            #expect(ids == ids.sorted() && Set(ids).count == 50)
            #expect(try await store.job(ids[7]).input == ["n": 7])
            await #expect(throws: StoreError.self) {
                try await store.enqueue([NewJob(kind: .noop, input: [:]), NewJob(kind: "nosuch", input: [:])])
            }
            #expect(try await store.queues().map(\.ready) == [50])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func badJobsAreRefusedWithTheirField(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let long = String(repeating: "x", count: 501)
            for (field, job) in [
                ("kind", NewJob(kind: "nosuch", input: [:])), ("model", NewJob(kind: .generate, input: [:])),
                ("model", NewJob(kind: .generate, model: "other", input: ["prompt": "x"])),
                ("model", NewJob(kind: .noop, model: "m", input: [:])), ("input", NewJob(kind: .noop, input: [1])),
                ("queue", NewJob(kind: .noop, input: [:], queue: "a b")),
                ("priority", NewJob(kind: .noop, input: [:], priority: 101)),
                ("priority", NewJob(kind: .noop, input: [:], priority: -100_000)),
                ("max_attempts", NewJob(kind: .noop, input: [:], maximumAttempts: 0)),
                ("max_attempts", NewJob(kind: .noop, input: [:], maximumAttempts: 70_000)),
                ("unique_key", NewJob(kind: .noop, input: [:], uniqueKey: long)),
                ("tenant", NewJob(kind: .noop, input: [:], tenant: long)),
                ("metadata", NewJob(kind: .noop, input: [:], metadata: [1])),
            ] {
                let error = await #expect(throws: StoreError.self) { try await world.store.enqueue([job]) }
                guard case .refused(let message) = error else {
                    Issue.record("\(field): \(String(describing: error))")
                    continue
                }
                #expect(message.hasPrefix("\(field): "), "\(message)")
            }
            #expect(try await world.store.queues().isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aUniqueKeyIsFreeOnceItsJobEnded(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let job = NewJob(kind: .noop, input: [:], uniqueKey: "k")
            let first = try await store.enqueueOne(job)
            await #expect(throws: StoreError.self) { try await store.enqueueOne(job) }
            await #expect(throws: StoreError.self) {
                try await store.enqueue([
                    NewJob(kind: .noop, input: [:], uniqueKey: "l"), NewJob(kind: .noop, input: [:], uniqueKey: "l"),
                ])
            }
            #expect(try await store.cancel(first) == .cancelled)
            let second = try await store.enqueueOne(job)
            let error = await #expect(throws: StoreError.self) { try await store.retry(first) }
            #expect(error?.description.hasPrefix("unique_key: ") == true)
            let lease = try await store.claim(try await store.worker(), 1)[0]
            #expect(lease.id == second)
            #expect(try await store.complete(lease, .done) == .succeeded)
            #expect(try await store.retry(first) == .ready)
        }
    }

    // MARK: Claims

    @Test(arguments: StoreKind.allCases)
    func claimsFollowPriorityThenAge(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue([
                NewJob(kind: .noop, input: [:]), NewJob(kind: .noop, input: [:], priority: -5),
                NewJob(kind: .noop, input: [:]), NewJob(kind: .noop, input: [:], delay: 3600),
            ])
            let older = try await store.enqueueOne(NewJob(kind: .noop, input: [:], delay: -60))
            let worker = try await store.worker()
            let first = try await store.claim(worker, 2)
            #expect(first.map(\.id) == [ids[1], older])
            #expect(first.allSatisfy { $0.attempt == 1 && $0.progress == nil })
            let rest = try await store.claim(worker, 9)
            #expect(rest.map(\.id) == [ids[0], ids[2]])
            #expect(Set((first + rest).map(\.runToken)).count == 4)
            #expect(first.map(\.runToken).max()! < rest.map(\.runToken).min()!)
            let job = try await store.job(ids[0])
            #expect(job.state == .running && job.attempt == 1 && job.startedAt != nil)
            #expect(try await store.job(ids[3]).state == .scheduled)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func claimsTakeNoMoreThanIsWantedAndServed(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            for name in ["m", "n"] {
                try await store.register(
                    RegisteredModel(
                        name: name, digest: String(repeating: "a", count: 64), architecture: "llama",
                        contextLength: 10, uri: "/m", bytes: 1))
            }
            let ids = try await store.enqueue([
                NewJob(kind: .generate, model: "m", input: ["prompt": "x"]),
                NewJob(kind: .generate, model: "n", input: ["prompt": "x"]), NewJob(kind: .noop, input: [:]),
                NewJob(kind: .noop, input: [:], queue: "other"), NewJob(kind: .noop, input: [:], queue: "paused"),
            ])
            try await store.setPaused(true, queue: "paused")
            let worker = try await store.worker()
            func claim(
                _ queues: [String], _ kinds: [JobKind], _ models: [String], _ maximum: Int
            ) async throws -> [JobID] {
                try await store.claim(
                    ClaimRequest(worker: worker, queues: queues, kinds: kinds, models: models, maximum: maximum)
                ).map(\.id)
            }
            #expect(try await claim(["default"], [.noop, .generate], ["n"], 0) == [])
            #expect(try await claim(["nowhere", "paused"], [.noop, .generate], ["n"], 9) == [])
            #expect(try await claim(["default"], [.generate], [], 9) == [])
            #expect(try await claim(["default"], [.generate], ["n"], 9) == [ids[1]])
            #expect(try await claim(["other", "default"], [.noop, .generate], ["m", "n"], 2) == [ids[0], ids[2]])
            #expect(try await claim(["other", "default"], [.noop, .generate], ["m", "n"], 2) == [ids[3]])
            try await store.setPaused(false, queue: "paused")
            #expect(try await claim(["paused"], [.noop], [], 2) == [ids[4]])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func concurrentClaimsAreDisjoint(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<400).map { _ in NewJob(kind: .noop, input: [:]) })
            let claimed = try await withThrowingTaskGroup(of: [Lease].self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let worker = try await store.worker()
                        var mine: [Lease] = []
                        while case let leases = try await store.claim(worker, 7), !leases.isEmpty { mine += leases }
                        return mine
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claimed.map(\.id).sorted() == ids)
            #expect(Set(claimed.map(\.runToken)).count == 400)
        }
    }

    // MARK: Ends

    /// Every outcome, with every combination of what decides about the next state.
    @Test(arguments: StoreKind.allCases)
    func outcomesLeadWhereTheTransitionSays(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let worker = try await store.worker()
            for (outcome, ending, delay) in [
                (Outcome.done, Transition.Ending.succeeded, 0.0), (.failed(Outcome.unlucky), .failed, 0),
                (.retry(Outcome.unlucky, after: 60), .retry, 60), (.retry(Outcome.unlucky, after: 0), .retry, 0),
                (.retry(Outcome.unlucky, after: nil), .retry, 60), (.released(), .released, 0),
                (.released(after: 30), .released, 30),
                (.cancelled(result: ["text": "half"], usage: nil), .cancelled, 0),
            ] {
                for (maximum, cancels) in [(1, false), (3, false), (3, true)] {
                    let id = try await store.enqueueOne(NewJob(kind: .noop, input: [:], maximumAttempts: maximum))
                    let lease = try await store.claim(worker, 1)[0]
                    #expect(lease.id == id)
                    if cancels { #expect(try await store.cancel(id) == .running) }
                    let state = Transition.state(
                        after: ending, cancelRequested: cancels, delay: delay, job: try await store.job(id))
                    #expect(try await store.complete(lease, outcome) == state)
                    try await check(store, id, lease, ending, state)
                    if !state.isFinal { #expect(try await store.cancel(id) == .cancelled) }
                    _ = try await store.takeEvents()
                }
            }
        }
    }

    private func check(
        _ store: any JobStore, _ id: JobID, _ lease: Lease, _ ending: Transition.Ending, _ state: JobState
    ) async throws {
        let job = try await store.job(id)
        #expect(job.state == state)
        #expect(job.attempt == (ending == .released && !state.isFinal ? 0 : 1))
        #expect(job.failures == (ending == .retry && !state.isFinal ? 1 : 0))
        #expect((job.finishedAt != nil) == state.isFinal)
        let text: String? = [.succeeded: "ok", .cancelled: "half"][ending]
        #expect(job.result == text.map { ["text": .string($0)] })
        #expect(job.usage?["total_tokens"]?.intValue == (ending == .succeeded ? 3 : nil))
        #expect(job.error?["code"]?.stringValue == ([.failed, .retry].contains(ending) ? "unlucky" : nil))
        let record: AttemptRecord.Ending? =
            switch ending {
            case .succeeded, .cancelled: nil
            case .failed: .failed
            case .retry: state == .failed ? .failed : .retried
            case .released: .released
            case .lost: .lost
            }
        #expect(try await store.attempts(of: id).map(\.ending) == (record.map { [$0] } ?? []))
        #expect(try await store.attempts(of: id).allSatisfy { $0.runToken == lease.runToken && $0.attempt == 1 })
        let events = try await store.takeEvents()
        #expect(events.map(\.state) == (state.isFinal ? [state] : []))
    }

    @Test(arguments: StoreKind.allCases)
    func retriesWaitLongerEachTimeUntilTheAttemptsAreUsedUp(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne(NewJob(kind: .noop, input: [:], maximumAttempts: 3))
            for (attempt, wait) in [(1, 60.0), (2, 120.0)] {
                let lease = try await store.claim(try await store.worker(), 1)[0]
                #expect(lease.attempt == attempt)
                #expect(try await store.complete(lease, .retry(Outcome.unlucky, after: nil)) == .scheduled)
                try await world.advance(wait - 10)
                #expect(try await store.maintain(maximum: 10).promoted == 0)
                #expect(try await store.claim(try await store.worker(), 1).isEmpty)
                try await world.advance(20)
                #expect(try await store.maintain(maximum: 10) == Maintenance(promoted: 1))
            }
            let last = try await store.claim(try await store.worker(), 1)[0]
            #expect(try await store.complete(last, .retry(Outcome.unlucky, after: nil)) == .failed)
            #expect(try await store.attempts(of: id).map(\.ending) == [.retried, .retried, .failed])
            #expect(try await store.attempts(of: id).map(\.attempt) == [1, 2, 3])
            let job = try await store.job(id)
            #expect(job.error == Outcome.unlucky.json && job.attempt == 3)
        }
    }
}
