// A bounded set of connections. What to do is decided by `PoolState`, a value without I/O.
import Logging
import Synchronization

/// Lends connections; broken ones are replaced. Waiting is in order of arrival.
package final class PostgresPool: Sendable {
    package let configuration: PostgresConfiguration
    private let logger: Logger
    private let state: Mutex<State>

    private struct State: Sendable {
        var pool: PoolState
        var idle: [PostgresConnection] = []
        var waiters: [Int: CheckedContinuation<Bool, Never>] = [:]
    }

    package init(_ configuration: PostgresConfiguration, size: Int, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        state = Mutex(State(pool: PoolState(size: size)))
    }

    /// Lends a connection to `body`. A call that fails for want of a connection is not tried again here: the caller knows
    /// whether its statement may be repeated.
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
        for waiter in waiters { waiter.resume(returning: false) }
        for connection in idle { await connection.close() }
    }

    private func acquire() async throws(PostgresError) -> PostgresConnection {
        let hasPlace: Bool = await withCheckedContinuation { continuation in
            let place: Bool? = state.withLock { state in
                switch state.pool.acquire() {
                case .granted: return true
                case .closed: return false
                case .wait(let ticket):
                    state.waiters[ticket] = continuation
                    return nil
                }
            }
            if let place { continuation.resume(returning: place) }
        }
        guard hasPlace else { throw PostgresError(kind: .connection, message: "the pool is closed") }
        if let idle = state.withLock({ $0.idle.popLast() }) { return idle }
        do throws(PostgresError) {
            return try await PostgresConnection.connect(configuration, logger: logger)
        } catch {
            freePlace(nil)
            throw error
        }
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
        waiter?.resume(returning: true)
    }
}
