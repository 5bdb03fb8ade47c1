// RedisClient against a Redis of the tests' own.
import RedisClient
import TestSupport
import Testing

@Suite struct RedisClientTests {
    @Test func anyByteOfAStringSurvives() async throws {
        try await withRedis { redis in
            let connection = RedisConnection(try RedisConfiguration(url: redis.url))
            for value in ["", "\0", "a\0b", "\r\n", "žluťoučký 🐎", String(repeating: "x", count: 5_000_000)] {
                _ = try await connection.send(["SET", "key\0", value])
                #expect(try await connection.send(["GET", "key\0"]) == .string(value))
            }
        }
    }

    @Test func answersOfAPipelineStandInOrderErrorsIncluded() async throws {
        try await withRedis { redis in
            let connection = RedisConnection(try RedisConfiguration(url: redis.url))
            let replies = try await connection.send([
                ["SET", "a", "1"], ["LPUSH", "a", "2"], ["INCR", "a"], ["GET", "b"],
            ])
            #expect(replies.count == 4)
            #expect(replies[0] == .status("OK"))
            guard case .error(let message) = replies[1] else {
                Issue.record("no error: \(replies[1])")
                return
            }
            #expect(message.hasPrefix("WRONGTYPE"))
            #expect(replies[2...] == [.integer(2), .null])
        }
    }

    /// The write to a socket whose other end is gone must not end the process.
    @Test func aConnectionComesBackAfterTheServer() async throws {
        try await withRedis { redis in
            let connection = RedisConnection(try RedisConfiguration(url: redis.url))
            _ = try await connection.send(["PING"])
            await redis.stop()
            await #expect(throws: RedisError.self) { try await connection.send(["PING"]) }
            await #expect(throws: RedisError.self) { try await connection.send(["PING"]) }
            try await redis.start()
            #expect(try await connection.send(["PING"]) == .status("PONG"))
        }
    }

    @Test(.timeLimit(.minutes(1))) func aSubscriberSaysWhenItIsBack() async throws {
        try await withRedis { redis in
            let configuration = try RedisConfiguration(url: redis.url)
            let subscriber = RedisSubscriber(configuration, channels: ["a"], patterns: ["p*"])
            defer { subscriber.stop() }
            var events = subscriber.events.makeAsyncIterator()
            let connection = RedisConnection(configuration)
            #expect(await events.next() == .subscribed)
            _ = try await connection.send([["PUBLISH", "a", "1"], ["PUBLISH", "pq", "2"]])
            #expect(await events.next() == .message(channel: "a", payload: "1"))
            #expect(await events.next() == .message(channel: "pq", payload: "2"))
            await redis.stop()
            try await redis.start()
            #expect(await events.next() == .subscribed)
        }
    }

    @Test func thePasswordIsNeverPrinted() throws {
        let configuration = try RedisConfiguration(url: "redis://user:s3cret@localhost:7000/2")
        #expect("\(configuration)" == "localhost:7000/2")
        #expect(throws: RedisError.self) { try RedisConfiguration(url: "http://localhost") }
        #expect(throws: RedisError.self) { try RedisConfiguration(url: "redis://localhost:99999") }
    }

    private func withRedis(_ body: (TestRedis) async throws -> Void) async throws {
        let redis = try await TestRedis()
        do { try await body(redis) } catch {
            await redis.remove()
            throw error
        }
        await redis.remove()
    }
}
