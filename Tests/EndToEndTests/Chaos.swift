// Things that go wrong, in an order that a seed decides.
import Foundation
import Glibc
import PostgresClient
import TestSupport

enum Mishap: CaseIterable {
    case workerKilled, workerStopped, networkCut, networkFrozen, backendsKilled, databaseStopped, databaseCrashed
    case redisKilled, connectionsExhausted
}

/// Workers, each behind a network of its own, and what befalls them.
actor Chaos {
    private struct Post {
        var worker: TestProcess
        let proxy: TestProxy
        let number: Int
    }

    private let stack: ChaosStack
    private var random: SeededRandom
    private var posts: [Post] = []
    private(set) var log: [String] = []
    private let start = ContinuousClock.now

    init(_ stack: ChaosStack, seed: UInt64) {
        self.stack = stack
        random = SeededRandom(seed: seed)
    }

    func hire(_ count: Int) throws {
        for number in 0..<count {
            let proxy = try TestProxy(to: stack.database)
            posts.append(Post(worker: try worker(number, proxy), proxy: proxy, number: number))
        }
    }

    /// The second one's clock is an hour and a half ahead, the third one's behind.
    private func worker(_ number: Int, _ proxy: TestProxy) throws -> TestProcess {
        var environment = ["DATABASE_URL": proxy.url(for: stack.database), "REDIS_URL": stack.redis]
        if number > 0 {
            environment["LD_PRELOAD"] = TestProcess.products + "libClockSkew.so"
            environment["MILLRACE_CLOCK_SKEW"] = number == 1 ? "5400" : "-5400"
        }
        return try TestProcess(
            "inference-worker", ["--threads", "1"], environment: environment,
            log: "\(stack.home)/worker-\(number)-\(log.count).log")
    }

    /// One mishap after the other until the time is over; at the end nothing is broken any more.
    func run(seconds: Double) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            let mishap = Mishap.allCases.randomElement(using: &random)!
            let victim = Int.random(in: posts.indices, using: &random)
            let length = Double.random(in: 0.5...4, using: &random)
            note("\(mishap), worker \(victim), \(String(format: "%.1f", length)) s")
            try await befall(mishap, victim, length)
            // Until the next one, work goes on for a while.
            try await Task.sleep(for: .seconds(Double.random(in: 0.2...2, using: &random)))
        }
        try await stack.heal()
        for post in posts { post.proxy.thaw() }
    }

    private func befall(_ mishap: Mishap, _ victim: Int, _ length: Double) async throws {
        let pause = Duration.seconds(length)
        switch mishap {
        case .workerKilled:
            await posts[victim].worker.kill()
            try await Task.sleep(for: pause / 2)
            posts[victim].worker = try worker(posts[victim].number, posts[victim].proxy)
        case .workerStopped:
            posts[victim].worker.signal(SIGSTOP)
            // Now and then longer than a worker may be silent.
            try await Task.sleep(for: length > 3 ? .seconds(12) : pause)
            posts[victim].worker.signal(SIGCONT)
        case .networkCut: posts[victim].proxy.loseConnections()
        case .networkFrozen:
            posts[victim].proxy.freeze()
            try await Task.sleep(for: length > 3 ? .seconds(12) : pause)
            posts[victim].proxy.thaw()
        case .backendsKilled: try await stack.killBackends()
        case .databaseStopped, .databaseCrashed:
            try await stack.stopPostgres(mishap == .databaseStopped ? SIGINT : SIGQUIT)
            try await Task.sleep(for: pause)
            try await stack.heal()
        case .redisKilled:
            try await stack.killRedis()
            try await Task.sleep(for: pause)
            try await stack.heal()
        case .connectionsExhausted:
            let taken = try await stack.exhaust()
            try await Task.sleep(for: pause)
            for connection in taken { await connection.close() }
        }
    }

    private func note(_ line: String) {
        log.append(
            "\(start.duration(to: .now).formatted(.units(allowed: [.seconds], fractionalPart: .show(length: 1)))): \(line)"
        )
    }

    /// At once.
    func kill() async {
        for post in posts {
            await post.worker.kill()
            post.proxy.close()
        }
    }

    /// In order.
    func dismiss() async {
        for post in posts { post.worker.signal(SIGTERM) }
        for post in posts {
            await post.worker.wait()
            post.proxy.close()
        }
    }
}
