// Who may have a connection: places and a line of those who wait. No I/O.
import DequeModule

struct PoolState: Sendable {
    enum Answer: Equatable {
        case granted
        /// Wait until `release` gives this ticket.
        case wait(ticket: Int)
        case closed
    }

    private var free: Int
    private var line: Deque<Int> = []
    private var nextTicket = 0
    private(set) var isClosed = false

    init(size: Int) {
        precondition(size > 0, "a pool has at least one connection")
        free = size
    }

    mutating func acquire() -> Answer {
        if isClosed { return .closed }
        if free > 0 {
            free -= 1
            return .granted
        }
        nextTicket += 1
        line.append(nextTicket)
        return .wait(ticket: nextTicket)
    }

    /// A place came back.
    /// - Returns: the ticket of who has it now; nil when nobody waits.
    mutating func release() -> Int? {
        if let next = line.popFirst() { return next }
        free += 1
        return nil
    }

    /// Who holds the ticket waits no longer.
    mutating func abandon(ticket: Int) {
        line.removeAll { $0 == ticket }
    }

    mutating func close() {
        isClosed = true
        line = []
    }
}
