// Which jobs a worker gets when it says what it has at hand: the same cases for every store.
import Foundation
import JSON
import JobModel
import JobStorage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct AffinityTests {
    /// A text of some 700 characters that begins with its name.
    private static func preamble(_ name: String) -> String {
        String(repeating: name + " ", count: 700 / (name.count + 1))
    }

    private static func job(_ model: String, _ text: String, priority: Int? = nil) -> NewJob {
        NewJob(kind: .generate, model: model, input: ["prompt": .string(text)], priority: priority, cache: false)
    }

    private static func with(
        _ kind: StoreKind, models: [String] = ["a", "b", "c"], _ body: (StoreUnderTest, WorkerID) async throws -> Void
    ) async throws {
        try await StoreUnderTest.with(kind) { world async throws in
            for name in models {
                try await world.store.register(
                    RegisteredModel(
                        name: name, digest: String(repeating: "a", count: 64), architecture: "llama",
                        contextLength: 100, uri: "/\(name)", bytes: 1))
            }
            try await body(world, try await world.store.worker())
        }
    }

    private static func claim(
        _ store: any JobStore, _ worker: WorkerID, _ maximum: Int, busy: [String] = [], idle: [String] = [],
        places: Int = 0, hot: [HotPrefix] = []
    ) async throws -> [Lease] {
        try await store.claim(
            ClaimRequest(
                worker: worker, queues: ["default"], kinds: [.generate], models: ["a", "b", "c"], maximum: maximum,
                affinity: Affinity(busyModels: busy, idleModels: idle, places: places, hotPrefixes: hot)))
    }

    @Test(arguments: StoreKind.allCases)
    func modelsInMemoryGoFirst(kind: StoreKind) async throws {
        try await Self.with(kind) { world, worker in
            let store = world.store
            for model in ["a", "b", "c", "a", "b", "c"] { _ = try await store.enqueueOne(Self.job(model, "x")) }
            #expect(try await Self.claim(store, worker, 9).isEmpty, "no place, nothing at hand")
            #expect(try await Self.claim(store, worker, 1, idle: ["c"], places: 1).map(\.model) == ["c"])
            #expect(try await Self.claim(store, worker, 9, busy: ["c"]).map(\.model) == ["c"])
            // One place, nothing at hand: the model of the oldest job, and only this one.
            #expect(try await Self.claim(store, worker, 9, busy: ["c"], places: 1).map(\.model) == ["a", "a"])
            #expect(try await store.queues()[0].ready == 2)
        }
    }

    /// What no live worker has goes before what others have too, and what others have is the last to be loaded.
    @Test(arguments: StoreKind.allCases)
    func workersShareTheModelsOut(kind: StoreKind) async throws {
        try await Self.with(kind) { world, first in
            let store = world.store
            for model in ["a", "b", "c", "a", "b", "c"] { _ = try await store.enqueueOne(Self.job(model, "x")) }
            let second = try await store.worker()
            #expect(try await Self.claim(store, first, 1, places: 1).map(\.model) == ["a"])
            #expect(try await Self.claim(store, second, 1, places: 1).map(\.model) == ["b"])
            // Its own model is nobody else's: it stays with it.
            #expect(try await Self.claim(store, second, 1, idle: ["b"], places: 1).map(\.model) == ["b"])
            _ = try await store.enqueueOne(Self.job("b", "x"))
            // Both have b: the second one leaves it for what nobody has.
            #expect(try await Self.claim(store, first, 9, busy: ["b"]).map(\.model) == ["b"])
            _ = try await store.enqueueOne(Self.job("b", "x"))
            #expect(try await Self.claim(store, second, 1, idle: ["b"], places: 1).map(\.model) == ["c"])
            // Nobody has a; b is had by one more, c by one.
            let third = try await store.worker()
            #expect(try await Self.claim(store, third, 1, places: 1).map(\.model) == ["a"])
            _ = try await store.enqueueOne(Self.job("a", "x"))
            #expect(try await Self.claim(store, second, 9, busy: ["c"]).map(\.model) == ["c"])
            #expect(try await store.beat(third, isDraining: false).isAlive)
            let fourth = try await store.worker()
            #expect(try await Self.claim(store, fourth, 1, places: 1).map(\.model) == ["b"])
        }
    }

    /// An overdue job takes the place of an idle model, and while there is none it stops later jobs.
    @Test(arguments: StoreKind.allCases)
    func noJobIsOvertakenByMoreThanTheWindow(kind: StoreKind) async throws {
        try await Self.with(kind) { world, worker in
            let store = world.store
            let old = try await store.enqueueOne(Self.job("b", "x"))
            try await world.advance(119)
            let young = try await store.enqueueOne(Self.job("a", "x"))
            try await world.advance(3)
            let tooYoung = try await store.enqueueOne(Self.job("a", "x"))
            #expect(try await Self.claim(store, worker, 9, busy: ["a"]).map(\.id) == [young])
            #expect(try await Self.claim(store, worker, 9, busy: ["a"]).isEmpty)
            #expect(try await Self.claim(store, worker, 9, idle: ["a"], places: 1).map(\.id) == [old])
            #expect(try await Self.claim(store, worker, 9, busy: ["a"]).map(\.id) == [tooYoung])

            try await store.setAffinityWindow(0, queue: "default")
            #expect(try await store.queues()[0].affinityWindow == 0)
            let first = try await store.enqueueOne(Self.job("b", "x"))
            let second = try await store.enqueueOne(Self.job("a", "x"))
            #expect(try await Self.claim(store, worker, 1, busy: ["a"], idle: ["b"], places: 1).map(\.id) == [first])
            #expect(try await Self.claim(store, worker, 1, busy: ["a"]).map(\.id) == [second])
            await #expect(throws: StoreError.self) { try await store.setAffinityWindow(-1, queue: "default") }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func jobsThatBeginAlikeComeTogether(kind: StoreKind) async throws {
        try await Self.with(kind) { world, worker in
            let store = world.store
            // Texts in turn, as many users send them.
            var ids: [String: [JobID]] = [:]
            for round in 0..<4 {
                for name in ["mill", "race", "wheel"] {
                    let id = try await store.enqueueOne(Self.job("a", Self.preamble(name) + "\(round)"))
                    ids[name, default: []].append(id)
                }
            }
            let short = try await store.enqueueOne(Self.job("a", "short"))
            let first = try await Self.claim(store, worker, 2, busy: ["a"])
            #expect(first.map(\.id) == Array(ids["mill"]![..<2]))
            let chain = try #require(first[0].prefix)
            #expect(chain.count == 8 && first[1].prefix == chain)

            // What was read goes before what is older.
            let race = try await Self.claim(store, worker, 1, busy: ["a"])
            #expect(race.map(\.id) == [ids["race"]![0]], "what was read is forgotten: the oldest job")
            var wheel: String?
            for lease in try await Self.claim(store, worker, 9, busy: ["a"]) where ids["wheel"]!.contains(lease.id) {
                wheel = lease.prefix
                #expect(try await store.complete(lease, .released()) == .ready)
            }
            let hot = [HotPrefix(model: "a", chain: try #require(wheel))]
            #expect(try await Self.claim(store, worker, 9, busy: ["a"], hot: hot).count >= 4)
            #expect(try await store.job(short).state == .running)
        }
    }

    /// The longest common beginning wins; another model's chains say nothing.
    @Test(arguments: StoreKind.allCases)
    func theLongestCommonBeginningGoesFirst(kind: StoreKind) async throws {
        try await Self.with(kind) { world, worker in
            let store = world.store
            let common = String(repeating: "system ", count: 40)
            let one = common + String(repeating: "one ", count: 200)
            let two = common + String(repeating: "two ", count: 200)
            let plain = try await store.enqueueOne(Self.job("a", "short"))
            let before = try await store.enqueueOne(Self.job("a", two + "1"))
            let near = try await store.enqueueOne(Self.job("a", one + "1"))
            let other = try await store.enqueueOne(Self.job("b", one + "1"))
            let taken = try await Self.claim(store, worker, 1, busy: ["b"])
            #expect(taken.map(\.id) == [other])
            let chain = try #require(taken[0].prefix)
            let elsewhere = [HotPrefix(model: "b", chain: chain)]
            #expect(try await Self.claim(store, worker, 1, busy: ["a"], hot: elsewhere).map(\.id) == [plain])
            let hot = [HotPrefix(model: "a", chain: chain)]
            #expect(try await Self.claim(store, worker, 1, busy: ["a"], hot: hot).map(\.id) == [near])
            #expect(try await Self.claim(store, worker, 1, busy: ["a"], hot: hot).map(\.id) == [before])
        }
    }

    /// Priorities are worth more than affinity.
    @Test(arguments: StoreKind.allCases)
    func anUrgentJobGoesBeforeOnesAtHand(kind: StoreKind) async throws {
        try await Self.with(kind) { world, worker in
            let store = world.store
            _ = try await store.enqueueOne(Self.job("a", "x"))
            let urgent = try await store.enqueueOne(Self.job("b", "x", priority: -1))
            #expect(try await Self.claim(store, worker, 1, idle: ["a"], places: 1).map(\.id) == [urgent])
        }
    }
}
