// Something between a client and a server that can fail in the ways that networks do.
import Foundation
import Glibc
import Synchronization

/// Forwards TCP connections from a port of its own to the server of a URL.
package final class TestProxy: Sendable {
    private struct State {
        var isFrozen = false
        var isClosed = false
        var losesConnections = false
    }

    package let port: UInt16
    private let host: String
    private let listener: Int32
    private let target: (address: in_addr_t, port: UInt16)
    private let state = Mutex(State())
    private let wakePipe: (read: Int32, write: Int32)

    /// - Parameters:
    ///   - host: this machine's address at which it listens.
    ///   - isOpen: false refuses connections until `open`.
    package init(to url: String, at host: String = "127.0.0.1", isOpen: Bool = true) throws {
        self.host = host
        guard let parts = URLComponents(string: url), let port = parts.port.flatMap(UInt16.init(exactly:)),
            case let address = inet_addr(parts.host == "localhost" ? "127.0.0.1" : parts.host ?? ""),
            address != INADDR_NONE
        else { throw Timeout(description: "no address and port in the URL of the server") }
        target = (address, port)
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var place = Self.place(inet_addr(host), 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &place) { [listener] in
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw Timeout(description: "no free port") }
        self.port = UInt16(bigEndian: place.sin_port)
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Timeout(description: "no pipe") }
        wakePipe = (ends[0], ends[1])
        if isOpen { open() }
        Thread { [self] in run() }.start()
    }

    /// The URL with this proxy as its server.
    package func url(for url: String) -> String {
        var parts = URLComponents(string: url)!
        parts.host = host
        parts.port = Int(port)
        return parts.string!
    }

    package func open() { listen(listener, 64) }
    /// Nothing passes any more, and new connections get no answer.
    package func freeze() { change { $0.isFrozen = true } }
    package func thaw() { change { $0.isFrozen = false } }
    /// The connections that exist will never pass a byte again; new ones work.
    package func loseConnections() { change { $0.losesConnections = true } }
    /// Closes everything, for good.
    package func close() { change { $0.isClosed = true } }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        var byte: UInt8 = 1
        _ = write(wakePipe.write, &byte, 1)
    }

    private func run() {
        var pairs: [(client: Int32, server: Int32)] = []
        var lost: [(client: Int32, server: Int32)] = []
        while true {
            let now = state.withLock { state in
                defer { state.losesConnections = false }
                return state
            }
            if now.losesConnections {
                lost += pairs
                pairs = []
            }
            if now.isClosed { break }
            let active = now.isFrozen ? [] : pairs
            let sockets = [wakePipe.read, now.isFrozen ? -1 : listener] + active.flatMap { [$0.client, $0.server] }
            var descriptors = sockets.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            // A socket that does not listen yet looks hung up at once: look again a little later.
            poll(&descriptors, nfds_t(descriptors.count), -1)
            if descriptors[0].revents != 0 {
                var byte: UInt8 = 0
                _ = read(wakePipe.read, &byte, 1)
                continue
            }
            if descriptors[1].revents & Int16(POLLIN) != 0 {
                connect().map { pairs.append($0) }
            } else if descriptors[1].revents != 0 {
                usleep(20_000)
            }
            for (place, pair) in active.enumerated() {
                let isOver =
                    (descriptors[2 + 2 * place].revents != 0 && !Self.forward(pair.client, pair.server))
                    || (descriptors[3 + 2 * place].revents != 0 && !Self.forward(pair.server, pair.client))
                guard isOver else { continue }
                Self.end(pair)
                pairs.removeAll { $0 == pair }
            }
        }
        for pair in pairs + lost { Self.end(pair) }
        for descriptor in [listener, wakePipe.read, wakePipe.write] { Glibc.close(descriptor) }
    }

    private func connect() -> (client: Int32, server: Int32)? {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return nil }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var place = Self.place(target.address, target.port)
        let isConnected = withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else {
            Self.end((client, server))
            return nil
        }
        return (client, server)
    }

    private static func place(_ address: in_addr_t, _ port: UInt16) -> sockaddr_in {
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        place.sin_addr.s_addr = address
        return place
    }

    /// - Returns: false at the end of the connection.
    private static func forward(_ from: Int32, _ to: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(from, &bytes, bytes.count, 0)
        guard count > 0 else { return false }
        var sent = 0
        while sent < count {
            let part = bytes.withUnsafeBytes { send(to, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL)) }
            guard part > 0 else { return false }
            sent += part
        }
        return true
    }

    private static func end(_ pair: (client: Int32, server: Int32)) {
        Glibc.close(pair.client)
        Glibc.close(pair.server)
    }
}
