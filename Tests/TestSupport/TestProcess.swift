// Processes that tests start and kill: the built programs, and a Redis of a test's own.
import Foundation
import Glibc
import RedisClient

/// A child process.
package final class TestProcess: @unchecked Sendable {
    private let process = Process()

    /// - Parameter program: a built program of this package, or a path.
    package init(_ program: String, _ arguments: [String], environment: [String: String] = [:], log: String? = nil)
        throws
    {
        // Products stand beside the bundle that runs the tests.
        let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let built = Self.products(from: folder).appendingPathComponent(program).path
        process.executableURL = URL(fileURLWithPath: program.hasPrefix("/") ? program : built)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        if let log {
            _ = FileManager.default.createFile(atPath: log, contents: nil)
            let handle = FileHandle(forWritingAtPath: log)!
            process.standardOutput = handle
            process.standardError = handle
        } else {
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
        }
        try process.run()
    }

    /// The folder of the built programs: that of the test bundle, wherever the runner itself stands.
    private static func products(from folder: URL) -> URL {
        for argument in CommandLine.arguments where argument.contains(".xctest") {
            return URL(fileURLWithPath: argument.components(separatedBy: ".xctest")[0]).deletingLastPathComponent()
        }
        return folder
    }

    package var id: pid_t { process.processIdentifier }
    package func signal(_ number: Int32) { Glibc.kill(process.processIdentifier, number) }

    /// - Returns: the exit status.
    @discardableResult
    package func wait() async -> Int32 {
        await withCheckedContinuation { continuation in
            Thread {
                self.process.waitUntilExit()
                continuation.resume(returning: self.process.terminationStatus)
            }.start()
        }
    }

    package func kill() async {
        signal(SIGKILL)
        await wait()
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
