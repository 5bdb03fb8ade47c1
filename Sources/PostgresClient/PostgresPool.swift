// A bounded set of connections. What to do is decided by `PoolState`, a value without I/O.
import Dispatch
import Logging
import Synchronization

/// Lends connections; broken ones are replaced. Waiting is in order of arrival.
package final class PostgresPool: Sendable {
    package let configuration: PostgresConfiguration
    private let logger: Logger
    /// Seconds to wait for a connection that others have.
    private let acquireTimeout: Double
    private let state: Mutex<State>

    private enum Place { case granted, closed, timedOut, cancelled }

    private struct State: Sendable {
        var pool: PoolState
        var idle: [PostgresConnection] = []
        var waiters: [Int: CheckedContinuation<Place, Never>] = [:]
    }

    package init(_ configuration: PostgresConfiguration, size: Int, acquireTimeout: Double = 30, logger: Logger) {
        self.configuration = configuration
        self.acquireTimeout = acquireTimeout
        self.logger = logger
        state = Mutex(State(pool: PoolState(size: size)))
    }

    /// Lends a connection to `body`. A call that fails for want of a connection is not tried again here: the caller knows
    /// whether its statement may be repeated.
    /// - Throws: beside the errors of `body` one of kind `.connection` or `.authentication` when the server can't be had,
    ///   `.retriable` when others keep all connections for too long, `.cancelled` when the task is cancelled in the line.
    package func withConnection<Value: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        let connection = try await acquire()
        do throws(PostgresError) {
            let value = try await body(connection)
            await release(connection)
            return value
        } catch {
            await release(connection)
            throw error
        }
    }

    /// Makes sure that the server can be had.
    package func connect() async throws(PostgresError) {
        try await withConnection { _ throws(PostgresError) in }
    }

    package func query(
        _ sql: SQL, _ binds: [(any PostgresBindable)?] = []
    ) async throws(PostgresError) -> PostgresRows {
        try await withConnection { connection throws(PostgresError) in try await connection.query(sql, binds) }
    }

    /// Closes idle connections; lent ones are closed when they come back.
    package func close() async {
        let (idle, waiters) = state.withLock { state in
            state.pool.close()
            defer {
                state.idle = []
                state.waiters = [:]
            }
            return (state.idle, Array(state.waiters.values))
        }
        for waiter in waiters { waiter.resume(returning: .closed) }
        for connection in idle { await connection.close() }
    }

    private func acquire() async throws(PostgresError) -> PostgresConnection {
        switch await place() {
        case .granted: break
        case .closed: throw PostgresError(kind: .connection, message: "the pool is closed")
        case .cancelled: throw PostgresError(kind: .cancelled, message: "cancelled")
        case .timedOut:
            throw PostgresError(
                kind: .retriable, message: "no connection of the pool became free within \(acquireTimeout) s")
        }
        // After a restart of the server all of them are dead; that is no reason for a statement to fail.
        while let idle = state.withLock({ $0.idle.popLast() }) {
            if await idle.isAlive() { return idle }
            await idle.close()
        }
        do throws(PostgresError) {
            return try await PostgresConnection.connect(configuration, logger: logger)
        } catch {
            freePlace(nil)
            throw error
        }
    }

    private func place() async -> Place {
        // Known only once the place in the line is taken; whoever comes first, the cancellation or the ticket, sees the other.
        let ticket = Mutex<(number: Int?, isCancelled: Bool)>((nil, false))
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let place: Place? = state.withLock { state in
                    switch state.pool.acquire() {
                    case .granted: return .granted
                    case .closed: return .closed
                    case .wait(let number):
                        state.waiters[number] = continuation
                        ticket.withLock { $0.number = number }
                        return nil
                    }
                }
                if let place { return continuation.resume(returning: place) }
                let (number, isCancelled) = ticket.withLock { ($0.number!, $0.isCancelled) }
                if isCancelled { return leave(number, .cancelled) }
                DispatchQueue.global().asyncAfter(deadline: .now() + acquireTimeout) { [weak self] in
                    self?.leave(number, .timedOut)
                }
            }
        } onCancel: {
            let number = ticket.withLock { ticket in
                ticket.isCancelled = true
                return ticket.number
            }
            if let number { leave(number, .cancelled) }
        }
    }

    /// Nothing happens when the waiter has its place already.
    private func leave(_ ticket: Int, _ reason: Place) {
        let waiter = state.withLock { state in
            state.pool.abandon(ticket: ticket)
            return state.waiters.removeValue(forKey: ticket)
        }
        waiter?.resume(returning: reason)
    }

    private func release(_ connection: PostgresConnection) async {
        // One that comes back inside a transaction is closed, which rolls back.
        let isOpen = state.withLock { !$0.pool.isClosed }
        let isUsable = isOpen && !connection.isBroken && !connection.isInTransaction
        if !isUsable { await connection.close() }
        freePlace(isUsable ? connection : nil)
    }

    private func freePlace(_ connection: PostgresConnection?) {
        let waiter = state.withLock { state in
            if let connection { state.idle.append(connection) }
            return state.pool.release().flatMap { state.waiters.removeValue(forKey: $0) }
        }
        waiter?.resume(returning: .granted)
    }
}
