// Waiting for a socket in a way that another thread can end.
import Glibc

/// Ends a wait of another thread. A wake that comes before the wait ends it, too, until it is cleared.
package final class Waker: Sendable {
    /// A pipe: a byte in it is a wake.
    private let ends: (read: Int32, write: Int32)

    package init() {
        var descriptors: [Int32] = [0, 0]
        precondition(pipe(&descriptors) == 0, "no descriptors for a pipe")
        for descriptor in descriptors {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }
        ends = (descriptors[0], descriptors[1])
    }

    deinit {
        close(ends.read)
        close(ends.write)
    }

    /// A full pipe is as good as a wake.
    package func wake() {
        var byte: UInt8 = 1
        _ = write(ends.write, &byte, 1)
    }

    package func clear() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(ends.read, &bytes, bytes.count) > 0 {}
    }

    /// Waits for nothing but the wake.
    /// - Returns: false when the time ran out.
    @discardableResult
    package func wait(until deadline: Deadline) -> Bool {
        SocketWait.wait(for: -1, reading: false, waker: self, until: deadline) == .woken
    }

    fileprivate var pollDescriptor: pollfd { pollfd(fd: ends.read, events: Int16(POLLIN), revents: 0) }
}

package enum SocketWait: Equatable {
    /// Something can be done with the socket, be it to learn that it is broken.
    case ready(readable: Bool)
    case woken
    case timedOut

    /// - Parameter socket: -1 waits for the wake and the deadline only.
    package static func wait(
        for socket: Int32, reading: Bool = true, writing: Bool = false, waker: Waker? = nil, until deadline: Deadline
    ) -> SocketWait {
        let events = (reading ? Int16(POLLIN) : 0) | (writing ? Int16(POLLOUT) : 0)
        // poll(2) leaves out negative descriptors.
        var descriptors = [
            pollfd(fd: socket, events: events, revents: 0),
            waker?.pollDescriptor ?? pollfd(fd: -1, events: 0, revents: 0),
        ]
        while true {
            let count = poll(&descriptors, 2, deadline.milliseconds)
            if count < 0, errno == EINTR { continue }
            if descriptors[1].revents != 0 { return .woken }
            if count > 0 { return .ready(readable: descriptors[0].revents & ~Int16(POLLOUT) != 0) }
            if deadline.isOver { return .timedOut }
        }
    }
}
