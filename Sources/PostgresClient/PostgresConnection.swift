// A connection for asynchronous code: a serial queue of its own does the waiting, so no thread of the cooperative pool is
// ever held.
import CPostgres
import Dispatch
import Logging
import ServerLinks
import Synchronization

/// Statements run one after the other, in the order in which they are sent. Cancelling the task that waits cancels the
/// statement on the server.
package final class PostgresConnection: Sendable {
    private let queue: DispatchQueue
    /// Touched on `queue` only.
    private nonisolated(unsafe) var handle: PostgresHandle?
    private let waker: Waker
    private let broken = Atomic<Bool>(false)
    private let transactionIsOpen = Atomic<Bool>(false)

    /// - Throws: `PostgresError` of kind `.connection` or `.authentication` when no connection can be made.
    package static func connect(
        _ configuration: PostgresConfiguration, logger: Logger? = nil
    ) async throws(PostgresError) -> PostgresConnection {
        let queue = DispatchQueue(label: "postgres")
        let waker = Waker()
        let opened: Result<PostgresConnection, PostgresError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async {
                    do throws(PostgresError) {
                        let handle = try PostgresHandle(configuration, logger: logger, waker: waker)
                        waker.clear()
                        let connection = PostgresConnection(queue: queue, handle: handle, waker: waker)
                        continuation.resume(returning: .success(connection))
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            }
        } onCancel: {
            waker.wake()
        }
        return try opened.get()
    }

    private init(queue: DispatchQueue, handle: PostgresHandle, waker: Waker) {
        self.queue = queue
        self.handle = handle
        self.waker = waker
    }

    /// True when the server is gone; every further call fails.
    package var isBroken: Bool { broken.load(ordering: .relaxed) }

    /// False when the server has hung up while nothing was asked of it.
    func isAlive() async -> Bool {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.handle?.isAlive() ?? false) }
        }
    }

    /// True between BEGIN and its end, as of the last statement; such a connection must not serve somebody else.
    package var isInTransaction: Bool { transactionIsOpen.load(ordering: .relaxed) }

    /// - Parameter seconds: how long the answer may take; nil is what the configuration says. After that the statement is
    ///   cancelled, the connection dropped, and the error of kind `.connection`.
    package func query(
        _ sql: SQL, _ binds: [(any PostgresBindable)?] = [], within seconds: Double? = nil
    ) async throws(PostgresError) -> PostgresRows {
        try await perform { handle throws(PostgresError) in try handle.query(sql, binds, within: seconds) }
    }

    /// Runs several statements without values; inside a transaction unless the text says otherwise.
    package func script(_ sql: SQL) async throws(PostgresError) {
        try await perform { handle throws(PostgresError) in try handle.script(sql) }
    }

    /// `COPY … FROM STDIN` in text format. The rows are asked for one after the other while the server takes those before:
    /// never more than a piece of them is in memory. An error of theirs takes back what was copied.
    /// - Returns: rows copied.
    package func copyIn<Rows: AsyncSequence>(
        _ sql: SQL, rows: Rows
    ) async throws -> Int where Rows.Element == [String?] {
        var rows = rows.makeAsyncIterator()
        return try await copyIn(sql) { try await rows.next(isolation: #isolation) }
    }

    package func copyIn(_ sql: SQL, rows: some Sequence<[String?]>) async throws -> Int {
        var rows = rows.makeIterator()
        return try await copyIn(sql) { rows.next() }
    }

    private func copyIn(_ sql: SQL, next: () async throws -> [String?]?) async throws -> Int {
        try await perform { handle throws(PostgresError) in try handle.beginCopy(sql) }
        do {
            var text = CopyText()
            while let row = try await next() {
                text.append(row)
                if text.isFull { try await put(text.take()) }
            }
            try await put(text.take())
        } catch {
            // The server answers the end with the reason given here, and what went wrong first is what counts.
            _ = try? await perform(isCancellable: false) { handle throws(PostgresError) in
                try handle.endCopy(failing: "the rows ended with an error")
            }
            throw error
        }
        return try await perform { handle throws(PostgresError) in try handle.endCopy() }
    }

    private func put(_ bytes: [UInt8]) async throws(PostgresError) {
        guard !bytes.isEmpty else { return }
        try await perform { handle throws(PostgresError) in try handle.putCopy(bytes) }
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
        let cancellation = Cancellation()
        let result: Result<Value, PostgresError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async { [self] in
                    continuation.resume(returning: run(body, cancellation))
                }
            }
        } onCancel: {
            // Only a word to the queue's thread, which asks the server.
            if isCancellable { cancellation.request { self.waker.wake() } }
        }
        return try result.get()
    }

    private func run<Value>(
        _ body: (PostgresHandle) throws(PostgresError) -> Value, _ cancellation: Cancellation
    ) -> Result<Value, PostgresError> {
        guard let handle else { return .failure(PostgresError(kind: .connection, message: "the connection is closed")) }
        guard cancellation.begin() else { return .failure(PostgresError(kind: .cancelled, message: "cancelled")) }
        defer {
            cancellation.end()
            // A wake that came after the last look was for this statement, not for the next.
            waker.clear()
            transactionIsOpen.store(handle.transactionStatus != PQTRANS_IDLE, ordering: .relaxed)
        }
        do throws(PostgresError) {
            return .success(try body(handle))
        } catch {
            if error.kind == .connection || handle.isBroken { broken.store(true, ordering: .relaxed) }
            return .failure(error)
        }
    }
}

/// Lets a cancellation hit its own statement only: not the one before it on the connection, nor the one after.
private final class Cancellation: Sendable {
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

    func request(_ wake: () -> Void) {
        phase.withLock { phase in
            if phase == .running { wake() }
            if phase == .waiting { phase = .cancelled }
        }
    }
}
