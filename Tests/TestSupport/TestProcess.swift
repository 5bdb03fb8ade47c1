// Processes that tests start and kill: the built programs, and a Redis of a test's own.
import Foundation
import Glibc
import RedisClient
import Synchronization

/// A child process. Foundation's Process now and then misses that its child has ended and then never returns from waiting.
package final class TestProcess: Sendable {
    private struct State {
        var status: Int32?
        var waiters: [CheckedContinuation<Int32, Never>] = []
    }

    package let id: pid_t
    private let state = Mutex(State())

    /// - Parameters:
    ///   - program: a built program of this package, or a path.
    ///   - environment: variables beside those of the test.
    ///   - log: file for both of its streams.
    package init(_ program: String, _ arguments: [String], environment: [String: String] = [:], log: String? = nil)
        throws
    {
        let path = program.hasPrefix("/") ? program : Self.products + program
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log ?? "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        Self.keepDescriptors()
        var process = pid_t()
        let error = Self.withCStrings([path] + arguments) { argv in
            Self.withCStrings(variables) { envp in posix_spawn(&process, path, &actions, nil, argv, envp) }
        }
        guard error == 0 else { throw Timeout(description: "\(path): \(String(cString: strerror(error)))") }
        id = process
        Thread { self.reap() }.start()
    }

    private func reap() {
        // Its number stays its own until `waitpid` is done; so nobody else is ever sent its signals.
        var information = siginfo_t()
        while waitid(P_PID, id_t(id), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        let (status, waiters) = state.withLock { state in
            var status: Int32 = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
            // The exit code, or the number of the signal that ended it.
            state.status = status & 0x7F == 0 ? status >> 8 & 0xFF : status & 0x7F
            defer { state.waiters = [] }
            return (state.status!, state.waiters)
        }
        for waiter in waiters { waiter.resume(returning: status) }
    }

    /// Nothing happens if it has ended.
    package func signal(_ number: Int32) {
        state.withLock { if $0.status == nil { Glibc.kill(id, number) } }
    }

    /// - Returns: the exit status, or the signal that ended it.
    @discardableResult
    package func wait() async -> Int32 {
        await withCheckedContinuation { continuation in
            let status: Int32? = state.withLock { state in
                if state.status == nil { state.waiters.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }

    package func kill() async {
        signal(SIGKILL)
        await wait()
    }

    /// The folder of the built programs: that of the test bundle, wherever the runner itself stands.
    package static var products: String {
        for argument in CommandLine.arguments where argument.contains(".xctest") {
            let bundle = URL(fileURLWithPath: argument.components(separatedBy: ".xctest")[0])
            return bundle.deletingLastPathComponent().path + "/"
        }
        return URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path + "/"
    }

    /// Sockets and locks of the test stay its own.
    private static func keepDescriptors() {
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in open.compactMap(Int32.init) where descriptor > 2 {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies + [nil])
    }
}

/// A Redis on a socket in a folder of its own.
package final class TestRedis: @unchecked Sendable {
    private let folder: String
    private var process: TestProcess?
    package var socket: String { folder + "/redis.sock" }
    package var url: String { "unix://\(socket)" }

    package init() async throws {
        folder = NSTemporaryDirectory() + "millrace-redis-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        do { try await start() } catch {
            await remove()
            throw error
        }
    }

    /// - Parameter beforeOpening: gets another socket of the server, at which nobody looks for it yet; returns before those
    ///   who know `url` can connect.
    package func start(beforeOpening: (_ socket: String) async throws -> Void = { _ in }) async throws {
        let hidden = folder + "/hidden.sock"
        process = try TestProcess(
            "/usr/bin/redis-server", ["--port", "0", "--unixsocket", hidden, "--save", "", "--dir", folder])
        let connection = RedisConnection(try RedisConfiguration(url: "unix://\(hidden)"))
        try await eventually(within: 60, "Redis answers") { (try? await connection.send(["PING"])) != nil }
        try await beforeOpening(hidden)
        // A bound socket goes with its name.
        guard rename(hidden, socket) == 0 else { throw Timeout(description: "\(hidden) can't be renamed") }
    }

    package func stop() async {
        await process?.kill()
        process = nil
    }

    package func signal(_ number: Int32) { process?.signal(number) }

    package func remove() async {
        await stop()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
