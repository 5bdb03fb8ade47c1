// A host of a test's own: a network namespace that one cable joins to this machine.
import Foundation
import Glibc

/// Programs in it reach this machine at `gateway` and nothing else. Making one needs root.
package final class TestHost: Sendable {
    /// This machine's address at the cable's end.
    package let gateway: String
    private let name: String
    private let cable: String

    package static var canBeMade: Bool { geteuid() == 0 }

    /// - Parameter number: 0 to 63, another one for each host of this process.
    package init(number: Int) async throws {
        let process = getpid()
        name = "millrace-\(process)-\(number)"
        // Names of interfaces have 15 characters at most.
        cable = "mr\(process % 1_000_000)-\(number)"
        let network = "10.\(128 + process >> 8 & 127).\(process & 255)"
        gateway = "\(network).\(4 * number + 1)"
        do {
            try await Self.ip(["netns", "add", name])
            try await Self.ip(["link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", name])
            try await Self.ip(["addr", "add", "\(gateway)/30", "dev", cable])
            try await Self.ip(["-n", name, "addr", "add", "\(network).\(4 * number + 2)/30", "dev", "cable"])
            for link in [["-n", name, "link", "set", "lo", "up"], ["-n", name, "link", "set", "cable", "up"]] {
                try await Self.ip(link)
            }
            try await plug()
        } catch {
            await remove()
            throw error
        }
    }

    /// As `TestProcess`, on this host.
    package func start(_ program: String, _ arguments: [String], environment: [String: String], log: String?) throws
        -> TestProcess
    {
        // `ip` becomes the program, so the process is the program's.
        try TestProcess(
            Self.program, ["netns", "exec", name, TestProcess.products + program] + arguments,
            environment: environment, log: log)
    }

    /// Not a byte gets through, and nobody is told.
    package func unplug() async throws { try await Self.ip(["link", "set", cable, "down"]) }
    package func plug() async throws { try await Self.ip(["link", "set", cable, "up"]) }

    package func remove() async { try? await Self.ip(["netns", "delete", name]) }

    private static let program =
        ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].first(where: FileManager.default.isExecutableFile) ?? "ip"

    private static func ip(_ arguments: [String]) async throws {
        let status = try await TestProcess(program, arguments).wait()
        guard status == 0 else {
            throw Timeout(description: "ip \(arguments.joined(separator: " ")) ended with \(status)")
        }
    }
}
