// Things that go wrong, in an order that a seed decides.
import Foundation
import Glibc
import PostgresClient
import TestSupport

enum Mishap: CaseIterable {
    case workerKilled, workerStopped, networkCut, networkFrozen, networkUnplugged, backendsKilled
    case databaseStopped, databaseCrashed, redisKilled, connectionsExhausted
}

/// Workers, each on a host and behind a network of its own, and what befalls them.
actor Chaos {
    private struct Post {
        let number: Int
        /// nil without root: the worker then runs on this machine, and nobody can pull its cable.
        let host: TestHost?
        let proxy: TestProxy
        let redis: TestProxy
        var worker: TestProcess?
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

    func hire(_ count: Int) async throws {
        if !TestHost.canBeMade { note("not root: no hosts of their own, so no cable is pulled") }
        for number in 0..<count {
            let host = TestHost.canBeMade ? try await TestHost(number: number) : nil
            let address = host?.gateway ?? "127.0.0.1"
            posts.append(
                Post(
                    number: number, host: host, proxy: try TestProxy(to: stack.database, at: address),
                    redis: try TestProxy(to: stack.redis, at: address)))
            try startWorker(number)
        }
    }

    /// The second one's clock is an hour and a half ahead, the third one's behind.
    private func startWorker(_ number: Int) throws {
        let post = posts[number]
        var environment = [
            "DATABASE_URL": post.proxy.url(for: stack.database), "REDIS_URL": post.redis.url(for: stack.redis),
        ]
        if number > 0 {
            environment["LD_PRELOAD"] = TestProcess.products + "libClockSkew.so"
            environment["MILLRACE_CLOCK_SKEW"] = number == 1 ? "5400" : "-5400"
        }
        let (program, arguments) = ("inference-worker", ["--threads", "1"])
        let log = "\(stack.home)/worker-\(number)-\(log.count).log"
        posts[number].worker =
            try post.host?.start(program, arguments, environment: environment, log: log)
            ?? TestProcess(program, arguments, environment: environment, log: log)
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
        for post in posts {
            post.proxy.thaw()
            try await post.host?.plug()
        }
    }

    private func befall(_ mishap: Mishap, _ victim: Int, _ length: Double) async throws {
        let pause = Duration.seconds(length)
        // Now and then longer than a worker may be silent.
        let outage = length > 3 ? .seconds(12) : pause
        switch mishap {
        case .workerKilled:
            await posts[victim].worker?.kill()
            try await Task.sleep(for: pause / 2)
            try startWorker(victim)
        case .workerStopped:
            posts[victim].worker?.signal(SIGSTOP)
            try await Task.sleep(for: outage)
            posts[victim].worker?.signal(SIGCONT)
        case .networkCut: posts[victim].proxy.loseConnections()
        case .networkFrozen:
            posts[victim].proxy.freeze()
            try await Task.sleep(for: outage)
            posts[victim].proxy.thaw()
        case .networkUnplugged:
            try await posts[victim].host?.unplug()
            try await Task.sleep(for: outage)
            try await posts[victim].host?.plug()
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
        for post in posts { await post.worker?.kill() }
        await close()
    }

    /// In order.
    func dismiss() async {
        for post in posts { post.worker?.signal(SIGTERM) }
        for post in posts { await post.worker?.wait() }
        await close()
    }

    private func close() async {
        for post in posts {
            post.proxy.close()
            post.redis.close()
            await post.host?.remove()
        }
    }
}
