// Leases, workers that die, and writes that come too late: the same cases for every store.
import Foundation
import JSON
import JobModel
import JobStorage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct FencingTests {
    @Test(arguments: StoreKind.allCases)
    func staleWritesChangeNothingAndAreReported(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne()
            let first = try await store.worker()
            let stale = try await store.claim(first, 1)[0]
            try await world.advance(60)
            let second = try await store.worker()
            #expect(try await store.maintain(maximum: 10) == Maintenance(rescued: 1))
            #expect(try await store.beat(first, isDraining: false).isAlive == false)
            let error = await #expect(throws: StoreError.self) { try await store.claim(first, 1) }
            guard case .workerLost = error else {
                Issue.record("\(String(describing: error))")
                return
            }

            let fresh = try await store.claim(second, 1)[0]
            #expect(fresh.id == id && fresh.attempt == 2 && fresh.runToken > stale.runToken)
            for outcome in [
                Outcome.done, .failed(Outcome.unlucky), .retry(Outcome.unlucky, after: 0), .released(),
                .cancelled(result: nil, usage: nil),
            ] {
                #expect(try await store.complete(stale, outcome) == nil)
            }
            #expect(try await store.report([ProgressReport(id: id, runToken: stale.runToken, progress: [:])]).isEmpty)
            #expect(try await store.progress(of: id) == nil)
            #expect(try await store.handBack(of: first, except: []).isEmpty)
            #expect(try await store.job(id).state == .running)
            #expect(try await store.attempts(of: id).map(\.ending) == [.lost])

            #expect(try await store.complete(fresh, .done) == .succeeded)
            #expect(try await store.complete(fresh, .failed(Outcome.unlucky)) == nil)
            #expect(try await store.job(id).result == ["text": "ok"])
            #expect(try await store.takeEvents().count == 1)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func oneTransactionTakesTheHeldAndLeavesTheStale(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<3).map { _ in NewJob(kind: .noop, input: [:]) })
            let leases = try await store.claim(try await store.worker(), 3)
            #expect(try await store.complete(leases[1], .released()) == .ready)
            let all = leases.map { Completion(lease: $0, outcome: .done) }
            // The same completion twice in one call counts once.
            #expect(try await store.complete(all + [all[0]]) == [ids[0]: .succeeded, ids[2]: .succeeded])
            #expect(try await store.job(ids[1]).state == .ready)
            #expect(try await store.takeEvents().map(\.id) == [ids[0], ids[2]])
            #expect(try await store.complete([]).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func heartbeatsKeepLeases(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne()
            let worker = try await store.worker()
            let lease = try await store.claim(worker, 1)[0]
            for _ in 0..<5 {
                try await world.advance(8)
                #expect(try await store.maintain(maximum: 10) == Maintenance())
                #expect(try await store.beat(worker, isDraining: true) == Pulse(isAlive: true, cancelled: []))
            }
            #expect(try await store.workers().map(\.state) == ["draining"])
            #expect(try await store.workers().map(\.running) == [1])
            #expect(try await store.complete(lease, .done) == .succeeded)
            #expect(try await store.job(id).attempt == 1)
            #expect(try await store.beat(WorkerID(), isDraining: false).isAlive == false)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aJobThatKillsItsWorkersIsTakenForPoison(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            // Deaths are counted apart from failures.
            let id = try await store.enqueueOne(
                NewJob(kind: .noop, input: [:], maximumAttempts: 1, maximumWorkerDeaths: 3))
            for deaths in 1...3 {
                let lease = try await store.claim(try await store.worker(), 1)[0]
                #expect(lease.attempt == deaths && lease.failures == 0)
                try await world.advance(11)
                #expect(try await store.maintain(maximum: 10).rescued == 1)
                #expect(try await store.job(id).workerDeaths == deaths)
            }
            let job = try await store.job(id)
            #expect(job.state == .failed && job.attempt == 3 && job.failures == 0)
            #expect(job.error?["code"] == "poison")
            #expect(try await store.attempts(of: id).map(\.ending) == [.lost, .lost, .lost])
            #expect(
                try await store.attempts(of: id).map { $0.error?["code"] } == ["worker_lost", "worker_lost", "poison"])
            #expect(try await store.takeEvents().map(\.state) == [.failed])
            #expect(try await store.workers().isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func oneTickRescuesFromAllDeadWorkersWithinItsBound(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<6).map { _ in NewJob(kind: .noop, input: [:]) })
            for _ in 0..<3 { _ = try await store.claim(try await store.worker(), 2) }
            _ = try await store.worker("idle")
            try await world.advance(30)
            let alive = try await store.worker()
            #expect(try await store.maintain(maximum: 4).rescued == 4)
            #expect(try await store.workers().filter { $0.state == "lost" }.map(\.running) == [2])
            #expect(try await store.claim(alive, 9).map(\.id) == Array(ids[0..<4]))
            #expect(try await store.maintain(maximum: 4).rescued == 2)
            #expect(try await store.maintain(maximum: 4).rescued == 0)
            #expect(try await store.claim(alive, 9).map(\.id) == Array(ids[4...]))
            #expect(try await store.workers().map(\.id) == [alive])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func drainHandsBackWithTheAttemptRefunded(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne(NewJob(kind: .noop, input: [:], maximumAttempts: 1))
            for _ in 0..<3 {
                let worker = try await store.worker()
                let lease = try await store.claim(worker, 1)[0]
                #expect(lease.attempt == 1)
                #expect(try await store.complete(lease, .released()) == .ready)
                try await store.unregister(worker)
            }
            #expect(try await store.job(id).attempt == 0)
            #expect(try await store.attempts(of: id).map(\.ending) == [.released, .released, .released])
            #expect(try await store.workers().isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func whatAWorkerLeavesBehindIsRescuedAtOnce(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne()
            let worker = try await store.worker()
            _ = try await store.claim(worker, 1)
            try await store.unregister(worker)
            #expect(try await store.beat(worker, isDraining: false).isAlive == false)
            #expect(try await store.maintain(maximum: 10).rescued == 1)
            #expect(try await store.job(id).state == .ready)
            #expect(try await store.workers().isEmpty)
            try await store.unregister(worker)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func claimsWhoseAnswerWasLostAreHandedBack(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<3).map { _ in NewJob(kind: .noop, input: [:]) })
            let worker = try await store.worker()
            let other = try await store.worker()
            let known = try await store.claim(worker, 1)[0]
            let foreign = try await store.claim(other, 1)[0]
            _ = try await store.claim(worker, 1)
            #expect(try await store.handBack(of: worker, except: [known.runToken]) == [ids[2]])
            #expect(try await store.handBack(of: worker, except: [known.runToken]).isEmpty)
            let job = try await store.job(ids[2])
            #expect(job.state == .ready && job.attempt == 0)
            #expect(try await store.complete(known, .done) == .succeeded)
            #expect(try await store.complete(foreign, .done) == .succeeded)
        }
    }
}
