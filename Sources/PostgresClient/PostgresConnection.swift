// A connection for asynchronous code: libpq's blocking calls run on a serial queue of the connection's own, so they never
// hold a thread of the cooperative pool.
import CPostgres
import Dispatch
import Logging
import Synchronization

/// Statements run one after the other, in the order in which they are sent. Cancelling the task that waits cancels the
/// statement on the server.
package final class PostgresConnection: Sendable {
    private let queue: DispatchQueue
    /// Touched on `queue` only.
    private nonisolated(unsafe) var handle: PostgresHandle?
    private let cancel: Mutex<Cancel>
    private let broken = Atomic<Bool>(false)
    private let transactionIsOpen = Atomic<Bool>(false)

    private struct Cancel: @unchecked Sendable {
        /// A PGcancel, which libpq allows any thread to use.
        var pointer: OpaquePointer?
    }

    /// - Throws: `PostgresError` of kind `.connection` when no connection can be made.
    package static func connect(
        _ configuration: PostgresConfiguration, logger: Logger? = nil
    ) async throws(PostgresError) -> PostgresConnection {
        let queue = DispatchQueue(label: "postgres")
        let opened: Result<PostgresConnection, PostgresError> = await withCheckedContinuation { continuation in
            queue.async {
                do throws(PostgresError) {
                    let handle = try PostgresHandle(configuration, logger: logger)
                    continuation.resume(returning: .success(PostgresConnection(queue: queue, handle: handle)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try opened.get()
    }

    private init(queue: DispatchQueue, handle: PostgresHandle) {
        self.queue = queue
        self.handle = handle
        cancel = Mutex(Cancel(pointer: handle.makeCancel()))
    }

    deinit {
        cancel.withLock { cancel in
            PQfreeCancel(cancel.pointer)
            cancel.pointer = nil
        }
    }

    /// True when the server is gone; every further call fails.
    package var isBroken: Bool { broken.load(ordering: .relaxed) }

    /// True between BEGIN and its end, as of the last statement; such a connection must not serve somebody else.
    package var isInTransaction: Bool { transactionIsOpen.load(ordering: .relaxed) }

    package func query(
        _ sql: SQL, _ binds: [(any PostgresBindable)?] = []
    ) async throws(PostgresError) -> PostgresRows {
        try await perform { handle throws(PostgresError) in try handle.query(sql, binds) }
    }

    /// Runs several statements without values; inside a transaction unless the text says otherwise.
    package func script(_ sql: SQL) async throws(PostgresError) {
        try await perform { handle throws(PostgresError) in try handle.script(sql) }
    }

    /// `COPY … FROM STDIN` in text format.
    /// - Returns: rows copied.
    package func copyIn(_ sql: SQL, rows: [[String?]]) async throws(PostgresError) -> Int {
        try await perform { handle throws(PostgresError) in try handle.copyIn(sql, rows: rows) }
    }

    /// Runs `body` inside BEGIN and COMMIT; any error rolls back. A statement that failed inside fails the whole, also when
    /// `body` caught its error.
    package func transaction<Value: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        _ = try await query("BEGIN")
        do throws(PostgresError) {
            let value = try await body(self)
            try await commit()
            return value
        } catch {
            // The first error is what counts; a failed rollback means that the connection is gone. A cancelled task must
            // not keep the rollback from the server, or the pool would lend an open transaction.
            _ = try? await perform(isCancellable: false) { handle throws(PostgresError) in try handle.query("ROLLBACK")
            }
            throw error
        }
    }

    private func commit() async throws(PostgresError) {
        try await perform(isCancellable: false) { handle throws(PostgresError) in
            // The server answers COMMIT of a failed transaction with success and the word ROLLBACK.
            guard handle.transactionStatus != PQTRANS_INERROR else {
                throw PostgresError(
                    kind: .permanent, sqlState: "25P02",
                    message: "the transaction can't be committed: a statement in it failed")
            }
            _ = try handle.query("COMMIT")
        }
    }

    /// Ends the connection after the statements that were sent.
    package func close() async {
        await withCheckedContinuation { continuation in
            queue.async {
                self.handle = nil
                self.broken.store(true, ordering: .relaxed)
                continuation.resume()
            }
        }
    }

    private func perform<Value: Sendable>(
        isCancellable: Bool = true, _ body: @escaping @Sendable (PostgresHandle) throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        // Set before the statement is sent: a task that is already cancelled sends nothing.
        let isCancelled = CancelFlag()
        let result: Result<Value, PostgresError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async { [self] in
                    continuation.resume(returning: run(body, isCancelled))
                }
            }
        } onCancel: {
            if isCancellable { isCancelled.set { self.cancelStatement() } }
        }
        return try result.get()
    }

    private func run<Value>(
        _ body: (PostgresHandle) throws(PostgresError) -> Value, _ isCancelled: CancelFlag
    ) -> Result<Value, PostgresError> {
        guard let handle else { return .failure(PostgresError(kind: .connection, message: "the connection is closed")) }
        guard isCancelled.begin() else { return .failure(PostgresError(kind: .cancelled, message: "cancelled")) }
        defer {
            isCancelled.end()
            transactionIsOpen.store(handle.transactionStatus != PQTRANS_IDLE, ordering: .relaxed)
        }
        do throws(PostgresError) {
            return .success(try body(handle))
        } catch {
            if error.kind == .connection || handle.isBroken { broken.store(true, ordering: .relaxed) }
            return .failure(error)
        }
    }

    private func cancelStatement() {
        cancel.withLock { cancel in
            var reason = [CChar](repeating: 0, count: 256)
            _ = PQcancel(cancel.pointer, &reason, Int32(reason.count))
        }
    }
}

/// Lets a cancellation hit its own statement only: not the one before it on the connection, nor the one after.
private final class CancelFlag: Sendable {
    private enum Phase { case waiting, running, over, cancelled }
    private let phase = Mutex(Phase.waiting)

    func begin() -> Bool {
        phase.withLock { phase in
            guard phase == .waiting else { return false }
            phase = .running
            return true
        }
    }

    func end() { phase.withLock { $0 = .over } }

    func set(_ cancel: () -> Void) {
        phase.withLock { phase in
            if phase == .running { cancel() }
            if phase == .waiting { phase = .cancelled }
        }
    }
}
