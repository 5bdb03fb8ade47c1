// What clients, operators and publishers do: the same cases for every store.
import Foundation
import JSON
import JobModel
import JobStorage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ClientTests {
    @Test(arguments: StoreKind.allCases)
    func waitingJobsAreCancelledAtOnce(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue([
                NewJob(kind: .noop, input: [:]), NewJob(kind: .noop, input: [:], delay: 60),
            ])
            for id in ids {
                #expect(try await store.cancel(id) == .cancelled)
                #expect(try await store.cancel(id) == .cancelled)
                #expect(try await store.job(id).finishedAt != nil)
            }
            try await world.advance(120)
            #expect(try await store.maintain(maximum: 10) == Maintenance())
            #expect(try await store.claim(try await store.worker(), 9).isEmpty)
            #expect(try await store.takeEvents().map(\.id) == ids)
            await #expect(throws: StoreError.self) { try await store.cancel(4711) }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func runningJobsAreCancelledThroughTheirWorker(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<2).map { _ in NewJob(kind: .noop, input: [:]) })
            let worker = try await store.worker()
            let leases = try await store.claim(worker, 2)
            #expect(try await store.cancel(ids[0]) == .running)
            #expect(try await store.beat(worker, isDraining: false) == Pulse(isAlive: true, cancelled: [ids[0]]))
            let reports = leases.map { ProgressReport(id: $0.id, runToken: $0.runToken, progress: ["text": "a"]) }
            #expect(try await store.report(reports) == [ids[0]: true, ids[1]: false])
            #expect(try await store.complete(leases[0], .cancelled(result: ["text": "a"], usage: nil)) == .cancelled)
            #expect(try await store.job(ids[0]).result == ["text": "a"])
            // A job that ends before its worker hears of the wish has ended.
            #expect(try await store.cancel(ids[1]) == .running)
            #expect(try await store.complete(leases[1], .done) == .succeeded)
            #expect(try await store.cancel(ids[1]) == .succeeded)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func endedJobsAreTriedAgainByHand(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne(NewJob(kind: .noop, input: [:], maximumAttempts: 1))
            let worker = try await store.worker()
            await #expect(throws: StoreError.self) { try await store.retry(id) }
            #expect(try await store.complete(try await store.claim(worker, 1)[0], .failed(Outcome.unlucky)) == .failed)
            #expect(try await store.retry(id) == .ready)
            let waiting = try await store.job(id)
            #expect(waiting.failures == 0 && waiting.finishedAt == nil && waiting.attempt == 1)
            let lease = try await store.claim(worker, 1)[0]
            #expect(lease.attempt == 2)
            await #expect(throws: StoreError.self) { try await store.retry(id) }
            #expect(try await store.complete(lease, .done) == .succeeded)
            #expect(try await store.job(id).error == nil)
            await #expect(throws: StoreError.self) { try await store.retry(id) }
            await #expect(throws: StoreError.self) { try await store.retry(4711) }
            #expect(try await store.takeEvents().map(\.state) == [.failed, .succeeded])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func partialAnswersOutliveTheirWorkerButNotTheirJob(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let id = try await store.enqueueOne()
            let first = try await store.claim(try await store.worker(), 1)[0]
            for text in ["a", "ab"] {
                let report = ProgressReport(id: id, runToken: first.runToken, progress: ["text": .string(text)])
                #expect(try await store.report([report]) == [id: false])
                #expect(try await store.progress(of: id) == ["text": .string(text)])
            }
            try await world.advance(11)
            #expect(try await store.maintain(maximum: 1).rescued == 1)
            let second = try await store.claim(try await store.worker(), 1)[0]
            #expect(second.progress == ["text": "ab"])
            #expect(try await store.complete(second, .done) == .succeeded)
            #expect(try await store.progress(of: id) == nil)
            let late = ProgressReport(id: id, runToken: second.runToken, progress: ["text": "abc"])
            #expect(try await store.report([late]).isEmpty)
            #expect(try await store.progress(of: id) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func eventsStayInOrderUntilTheyAreTaken(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue((0..<5).map { _ in NewJob(kind: .noop, input: [:]) })
            let leases = try await store.claim(try await store.worker(), 5)
            _ = try await store.complete(leases[3...].map { Completion(lease: $0, outcome: .done) })
            _ = try await store.complete(leases[..<3].map { Completion(lease: $0, outcome: .done) })
            await #expect(throws: CancellationError.self) {
                try await store.relayEvents(maximum: 10) { _ in throw CancellationError() }
            }
            let taken = TakenEvents()
            #expect(try await store.relayEvents(maximum: 4) { await taken.add($0) } == 4)
            // While one publisher has events in hand, another gets the others.
            try await store.enqueueAndCancel(1)
            let counts = TakenCounts()
            let own = try await store.relayEvents(maximum: 1) { events in
                await taken.add(events)
                let others = try await store.relayEvents(maximum: 10) { await taken.add($0) }
                await counts.add(others)
            }
            #expect(own == 1)
            #expect(await counts.all == [1])
            #expect(try await store.relayEvents(maximum: 10) { _ in } == 0)
            let events = await taken.events
            #expect(events.prefix(5).map(\.id) == [ids[3], ids[4], ids[0], ids[1], ids[2]])
            #expect(events.map(\.sequence) == events.map(\.sequence).sorted())
            let payload = events[0].payload.objectValue
            #expect(payload?.keys.sorted() == ["attempt", "finished_at", "id", "kind", "result", "seq", "state"])
            #expect(events[0].payload["kind"] == "noop" && events[0].payload["attempt"] == 1)
            #expect(events[0].result == ["text": "ok"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func longResultsStayOutOfTheEvent(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            _ = try await store.enqueueOne()
            let lease = try await store.claim(try await store.worker(), 1)[0]
            let long = JSONValue.string((0..<10_000).map { "word\($0)" }.joined(separator: " "))
            #expect(try await store.complete(lease, .succeeded(result: ["text": long], usage: nil)) == .succeeded)
            #expect(try await store.takeEvents().map(\.result) == [nil])
            #expect(try await store.job(lease.id).result?["text"] == long)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func jobsBecomeReadyInTheirTimeAndOldestFirst(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue([
                NewJob(kind: .noop, input: [:], delay: 90), NewJob(kind: .noop, input: [:], delay: 30),
                NewJob(kind: .noop, input: [:], delay: 60), NewJob(kind: .noop, input: [:], delay: 3600),
            ])
            #expect(try await store.maintain(maximum: 10) == Maintenance())
            try await world.advance(100)
            #expect(try await store.maintain(maximum: 2).promoted == 2)
            #expect(try await store.queues().map(\.ready) == [2])
            #expect(try await store.queues().map(\.scheduled) == [2])
            #expect(try await store.job(ids[0]).state == .scheduled)
            #expect(try await store.maintain(maximum: 2).promoted == 1)
            #expect(try await store.claim(try await store.worker(), 9).map(\.id) == [ids[1], ids[2], ids[0]])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func jobsThatDidNotBeginInTimeExpire(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            let ids = try await store.enqueue([
                NewJob(kind: .noop, input: [:], priority: -1, timeToStart: 60),
                NewJob(kind: .noop, input: [:], timeToStart: 60),
                NewJob(kind: .noop, input: [:], delay: 600, timeToStart: 60),
            ])
            let lease = try await store.claim(try await store.worker(), 1)[0]
            #expect(lease.id == ids[0])
            #expect(try await store.maintain(maximum: 10) == Maintenance())
            #expect(try await store.complete(lease, .retry(Outcome.unlucky, after: 0)) == .ready)
            try await world.advance(120)
            let late = try await store.maintain(maximum: 10)
            #expect(late.expired == 2 && late.promoted == 0)
            // The first began in time, so it stays, also between two attempts.
            #expect(try await store.states(of: ids) == [ids[0]: .ready, ids[1]: .expired, ids[2]: .expired])
            #expect(try await store.job(ids[1]).error?["code"] == "expired")
            #expect(try await store.takeEvents().map(\.state) == [.expired, .expired])
            #expect(try await store.retry(ids[1]) == .ready)
            #expect(try await store.maintain(maximum: 10).expired == 0)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func modelsAreKnownByName(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            func model(_ name: String, _ bytes: Int64) -> RegisteredModel {
                RegisteredModel(
                    name: name, digest: String(repeating: "a", count: 64), architecture: "llama", contextLength: 10,
                    uri: "/m", bytes: bytes)
            }
            for entry in [model("b", 1), model("a", 2), model("b", 3)] { try await store.register(entry) }
            #expect(try await store.models() == [model("a", 2), model("b", 3)])
            #expect(try await store.model("b") == model("b", 3))
            #expect(try await store.removeModel("b"))
            #expect(try await store.removeModel("b") == false)
            #expect(try await store.model("b") == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func adaptersStayWithTheirModels(kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            let store = world.store
            func entry(_ name: String, base: String? = nil) -> RegisteredModel {
                RegisteredModel(
                    name: name, digest: String(repeating: "a", count: 64), architecture: "llama", contextLength: 10,
                    uri: "/m", bytes: 1, parentDigest: base.map { _ in String(repeating: "b", count: 64) }, base: base)
            }
            func refusal(_ body: () async throws(StoreError) -> Void) async -> String {
                do throws(StoreError) {
                    try await body()
                    return "done"
                } catch {
                    return error.description
                }
            }
            func registering(_ model: RegisteredModel) async -> String {
                await refusal { () throws(StoreError) in try await store.register(model) }
            }
            #expect(await registering(entry("tuned", base: "mill")) == "base: \"mill\" is not registered")
            #expect(await registering(entry("mill", base: "mill")) == "name: \"mill\" is a model that adapters need")
            try await store.register(entry("mill"))
            for name in ["tuned", "other", "tuned"] { try await store.register(entry(name, base: "mill")) }
            #expect(await registering(entry("third", base: "tuned")) == "base: \"tuned\" is an adapter itself")
            try await store.register(entry("race"))
            #expect(await registering(entry("mill", base: "race")) == "name: \"mill\" is a model that adapters need")
            let removal = await refusal { () throws(StoreError) in _ = try await store.removeModel("mill") }
            #expect(removal == "model: \"mill\" is the base of other, tuned; remove these first")
            #expect(try await store.models().map(\.base) == [nil, "mill", nil, "mill"])
            #expect(
                try await store.enqueue([NewJob(kind: .generate, model: "tuned", input: ["prompt": "x"])]).count == 1)
            #expect(try await store.removeModel("tuned"))
            #expect(try await store.removeModel("other"))
            #expect(try await store.removeModel("mill"))
        }
    }
}

private actor TakenCounts {
    private(set) var all: [Int] = []
    func add(_ count: Int) { all.append(count) }
}

extension JobStore {
    fileprivate func enqueueAndCancel(_ count: Int) async throws(StoreError) {
        for id in try await enqueue((0..<count).map { _ in NewJob(kind: .noop, input: [:]) }) {
            _ = try await cancel(id)
        }
    }
}
