// RedisClient against a Redis of the tests' own.
import Glibc
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
            let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
            _ = try await connection.send(["SET", "key", bytes])
            #expect(try await connection.send(["GET", "key"]) == .bytes(bytes))
            #expect(RedisReply.bytes(bytes).text == nil)
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

    @Test(.timeLimit(.minutes(5))) func aSubscriberSaysWhenItIsBack() async throws {
        try await withRedis { redis in
            let configuration = try RedisConfiguration(url: redis.url)
            let subscriber = RedisSubscriber(configuration, channels: ["a"], patterns: ["p*"])
            defer { subscriber.stop() }
            var events = subscriber.events.makeAsyncIterator()
            let connection = RedisConnection(configuration)
            #expect(await events.next() == .subscribed)
            _ = try await connection.send([["PUBLISH", "a", "1"], ["PUBLISH", "pq", "2"]])
            #expect(await events.next() == .message(channel: "a", payload: Array("1".utf8)))
            #expect(await events.next() == .message(channel: "pq", payload: Array("2".utf8)))
            await redis.stop()
            guard case .interrupted(.connection) = await events.next() else {
                Issue.record("the loss is not told")
                return
            }
            try await redis.start()
            while let event = await events.next(), event != .subscribed {}
            _ = try? await connection.send(["PING"])
            _ = try await connection.send(["PUBLISH", "a", "3"])
            #expect(await events.next() == .message(channel: "a", payload: Array("3".utf8)))
        }
    }

    /// A reader that is too slow learns how much it missed.
    @Test(.timeLimit(.minutes(5))) func nothingIsLostSilently() async throws {
        try await withRedis { redis in
            let configuration = try RedisConfiguration(url: redis.url)
            let subscriber = RedisSubscriber(configuration, channels: ["a"], capacity: 10)
            defer { subscriber.stop() }
            var events = subscriber.events.makeAsyncIterator()
            #expect(await events.next() == .subscribed)
            let connection = RedisConnection(configuration)
            for start in stride(from: 0, to: 20_000, by: 1000) {
                _ = try await connection.send((start..<start + 1000).map { ["PUBLISH", "a", $0] })
            }
            var (heard, missed) = (0, 0)
            while heard + missed < 20_000, let event = await events.next() {
                switch event {
                case .message(_, let payload):
                    #expect(payload == Array("\(heard + missed)".utf8))
                    heard += 1
                case .missed(let count): missed += count
                default: Issue.record("unexpected: \(event)")
                }
            }
            #expect(missed > 0 && heard > 0 && heard + missed == 20_000)
        }
    }

    @Test(.timeLimit(.minutes(5))) func aStuckServerIsGivenUp() async throws {
        try await withRedis { redis in
            var configuration = try RedisConfiguration(url: redis.url)
            configuration.timeout = 0.3
            let connection = RedisConnection(configuration)
            _ = try await connection.send(["PING"])
            redis.signal(SIGSTOP)
            let error = await #expect(throws: RedisError.self) { try await connection.send(["PING"]) }
            #expect(error == .connection("no answer within 0.3 s"))
            redis.signal(SIGCONT)
            #expect(try await connection.send(["PING"]) == .status("PONG"))
        }
    }

    @Test func aWrongPasswordIsToldApart() async throws {
        try await withRedis { redis in
            _ = try await RedisConnection(try RedisConfiguration(url: redis.url)).send([
                "CONFIG", "SET", "requirepass", "right",
            ])
            for user in ["", ":wrong@"] {
                let url = redis.url.replacing("unix://", with: "unix://\(user)")
                let error = await #expect(throws: RedisError.self) {
                    try await RedisConnection(try RedisConfiguration(url: url)).send(["PING"])
                }
                guard case .authentication = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
                #expect(error?.description.contains("authentication failed") == true)
            }
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
