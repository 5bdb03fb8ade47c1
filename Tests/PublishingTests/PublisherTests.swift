// The relay of the outbox: its order, and that no failure of Redis loses an event.
import Foundation
import JSON
import JobModel
import JobPublishing
import JobStorage
import Logging
import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct PublisherTests {
    private static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// A store whose outbox holds the ends of so many jobs.
    private static func store(_ count: Int) throws -> MemoryJobStore {
        let store = MemoryJobStore()
        try finish(count, in: store)
        return store
    }

    private static func finish(_ count: Int, in store: MemoryJobStore) throws {
        let worker = WorkerID()
        try store.register(WorkerRegistration(id: worker, name: "w", host: "h", processID: 1, profile: [:]))
        _ = try store.enqueue((0..<count).map { _ in NewJob(kind: .noop, input: [:]) })
        let leases = try store.claim(
            ClaimRequest(worker: worker, queues: ["default"], kinds: [.noop], models: [], maximum: count))
        _ = try store.complete(
            leases.map { Completion(lease: $0, outcome: .succeeded(result: ["n": .integer($0.id)], usage: nil)) })
    }

    @Test func theResultIsThereBeforeAnybodyHearsOfIt() async throws {
        let store = try Self.store(3)
        let redis = RecordedRedis()
        let publisher = Publisher(store: store, resultLifetime: 60, logger: Self.logger) { try redis.send($0) }
        #expect(try await publisher.relay() == 3)
        #expect(try await publisher.relay() == 0)
        #expect(redis.commands.count == 9)
        for (index, id) in (JobID(1)...3).enumerated() {
            let triple = Array(redis.commands[index * 3..<index * 3 + 3])
            let payload = triple[0][2]
            #expect(triple[0] == ["SET", "millrace:result:\(id)", payload, "EX", "60"])
            #expect(triple[1] == ["PUBLISH", "millrace:job:\(id)", payload])
            #expect(triple[2] == ["PUBLISH", "millrace:events", payload])
            let event = try JSONValue(parsing: payload)
            #expect(event["id"]?.intValue == Int(id) && event["seq"]?.intValue == index + 1)
            #expect(event["state"] == "succeeded" && event["result"] == ["n": .integer(id)])
            #expect(event["kind"] == "noop" && event["attempt"] == 1)
            #expect(event["finished_at"]?.stringValue?.contains("T") == true)
        }
    }

    @Test func aLongOutboxGoesOutInBoundedPieces() async throws {
        let store = try Self.store(450)
        let redis = RecordedRedis()
        let publisher = Publisher(store: store, logger: Self.logger) { try redis.send($0) }
        var relayed: [Int] = []
        while case let count = try await publisher.relay(), count > 0 { relayed.append(count) }
        #expect(relayed == [200, 200, 50])
        #expect(redis.sequences == Array(1...450))
    }

    /// Redis goes away when it has taken a part of the batch: the whole batch comes again, with the same numbers.
    @Test(arguments: [0, 1, 4, 8]) func aLossInTheMiddleSendsTheBatchAgain(taken: Int) async throws {
        let store = try Self.store(3)
        let redis = RecordedRedis()
        let publisher = Publisher(store: store, logger: Self.logger) { try redis.send($0) }
        redis.fail(after: taken, .connection("lost"))
        await #expect(throws: RedisError.connection("lost")) { try await publisher.relay() }
        #expect(redis.commands.count == taken)
        try Self.finish(1, in: store)
        #expect(try await publisher.relay() == 4)
        #expect(redis.sequences.suffix(4) == [1, 2, 3, 4])
        #expect(try await publisher.relay() == 0)
    }

    /// A server that answers with an error (out of memory, read-only) has not taken the event.
    @Test func anErrorReplyKeepsTheEvents() async throws {
        let store = try Self.store(2)
        let redis = RecordedRedis()
        let publisher = Publisher(store: store, logger: Self.logger) { try redis.send($0) }
        redis.answerErrors("OOM command not allowed")
        await #expect(throws: RedisError.server("OOM command not allowed")) { try await publisher.relay() }
        redis.answerErrors(nil)
        #expect(try await publisher.relay() == 2)
    }

    @Test func runsAtAWakeUpAndGoesOnAfterAnOutage() async throws {
        let store = try Self.store(250)
        let redis = RecordedRedis()
        let log = LogRecords()
        var logger = log.logger
        logger.logLevel = .notice
        let publisher = Publisher(store: store, logger: logger) { try redis.send($0) }
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self)
        redis.fail(after: 0, .connection("no Redis"), times: 3)
        let running = Task { await publisher.run(wake: wakes, interval: 0.005) }
        await redis.hasPublished(250)
        try Self.finish(2, in: store)
        wake.yield()
        await redis.hasPublished(252)
        running.cancel()
        await running.value
        #expect(redis.sequences == Array(1...252))
        #expect(log.lines.map { $0.prefix { $0 != " " } } == ["warning", "notice"])
    }

    @Test func subscribersOfARealRedisHearIt() async throws {
        let server = try await TestRedis()
        let configuration = try RedisConfiguration(url: server.url)
        let store = try Self.store(2)
        let subscriber = RedisSubscriber(configuration, channels: ["millrace:events", "millrace:job:2"])
        var events = subscriber.events.makeAsyncIterator()
        #expect(await events.next() == .subscribed)
        let redis = RedisConnection(configuration)
        let publisher = Publisher(store: store, redis: redis, resultLifetime: 60, logger: Self.logger)
        #expect(try await publisher.relay() == 2)
        var channels: [String] = []
        for _ in 0..<3 {
            guard case .message(let channel, _) = await events.next() else { continue }
            channels.append(channel)
        }
        #expect(channels == ["millrace:events", "millrace:job:2", "millrace:events"])
        let kept = try await redis.send(["GET", "millrace:result:2"]).text ?? ""
        #expect(try JSONValue(parsing: kept)["result"] == ["n": 2])
        guard case .integer(let seconds) = try await redis.send(["TTL", "millrace:result:2"]) else {
            Issue.record("no TTL")
            return
        }
        #expect((1...60).contains(seconds))
        subscriber.stop()
        await server.remove()
    }
}
