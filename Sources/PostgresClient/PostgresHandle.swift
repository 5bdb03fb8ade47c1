// One PGconn, used by one thread at a time. Its calls block that thread, but never longer than they are allowed to: libpq
// is driven without blocking, and every wait has a deadline. `PostgresConnection` puts it behind a queue; the heartbeat
// uses it as it is, from its own thread.
import CPostgres
import Glibc
import Logging
import ServerLinks

/// A blocking connection.
package final class PostgresHandle {
    let connection: OpaquePointer
    /// Ends the wait for an answer, by cancelling the statement.
    private let waker: Waker?
    private let notices: NoticeLog
    private let answerTimeout: Double?
    /// An answer did not come in time: what the server does next is nobody's business here.
    private var isDropped = false

    /// - Parameter waker: its wake cancels the statement that runs, or the connecting.
    /// - Throws: `PostgresError` of kind `.connection` or `.authentication` when no connection can be made.
    package init(
        _ configuration: PostgresConfiguration, logger: Logger? = nil, waker: Waker? = nil
    ) throws(PostgresError) {
        connection = try Self.open(configuration, waker)
        self.waker = waker
        notices = NoticeLog(logger: logger)
        answerTimeout = configuration.answerTimeout
        PQsetNoticeReceiver(connection, NoticeLog.receiver, Unmanaged.passUnretained(notices).toOpaque())
        PQsetnonblocking(connection, 1)
    }

    deinit { PQfinish(connection) }

    /// Runs one statement with its values and waits for the answer.
    /// - Parameter seconds: how long the answer may take; nil is what the configuration says.
    package func query(
        _ sql: SQL, _ binds: [(any PostgresBindable)?] = [], within seconds: Double? = nil
    ) throws(PostgresError) -> PostgresRows {
        let texts = binds.map { $0?.postgresText }
        if let place = texts.firstIndex(where: { $0?.utf8.contains(0) ?? false }) {
            throw PostgresError(
                kind: .permanent, sqlState: "22021",
                message: "parameter $\(place + 1): PostgreSQL's text can't hold a NUL byte")
        }
        try checkUsable()
        let isSent = withCStrings(texts) { values in
            PQsendQueryParams(connection, sql.text, Int32(texts.count), nil, values, nil, nil, 0)
        }
        guard isSent == 1 else { throw failure() }
        return PostgresRows(result: try answer(Deadline(in: seconds ?? answerTimeout)))
    }

    /// Runs several statements without values (a migration).
    package func script(_ sql: SQL) throws(PostgresError) {
        try checkUsable()
        guard PQsendQuery(connection, sql.text) == 1 else { throw failure() }
        _ = try answer(Deadline(in: answerTimeout))
    }

    // MARK: For PostgresConnection and PostgresListener

    var isBroken: Bool { isDropped || PQstatus(connection) != CONNECTION_OK }

    /// `PQTRANS_UNKNOWN` when the connection is broken.
    var transactionStatus: PGTransactionStatusType {
        isDropped ? PQTRANS_UNKNOWN : PQtransactionStatus(connection)
    }

    /// False when the server has hung up meanwhile. Looks at what has arrived, sends nothing.
    func isAlive() -> Bool {
        // The first look may find the server's farewell, the second one the end.
        !isBroken && PQconsumeInput(connection) == 1 && PQconsumeInput(connection) == 1 && !isBroken
    }

    var socket: Int32 { PQsocket(connection) }

    /// Notifications that have arrived by now.
    func takeNotifications() throws(PostgresError) -> [PostgresNotification] {
        guard PQconsumeInput(connection) == 1 else { throw failure() }
        var notifications: [PostgresNotification] = []
        while let notify = PQnotifies(connection) {
            notifications.append(
                PostgresNotification(
                    channel: String(cString: notify.pointee.relname), payload: String(cString: notify.pointee.extra)))
            PQfreemem(notify)
        }
        return notifications
    }

    // MARK: COPY

    /// Begins a `COPY … FROM STDIN`.
    func beginCopy(_ sql: SQL) throws(PostgresError) {
        try checkUsable()
        guard PQsendQuery(connection, sql.text) == 1 else { throw failure() }
        let deadline = Deadline(in: answerTimeout)
        try finishSending(deadline)
        let box = try nextResult(deadline)
        guard let box, PQresultStatus(box.pointer) == PGRES_COPY_IN else {
            let failure = box.flatMap(error(of:))
            _ = try answer(deadline)
            throw failure ?? PostgresError(kind: .permanent, message: "not a COPY … FROM STDIN")
        }
    }

    /// Returns when the server's side has taken the bytes over, so that no more than one piece is in memory.
    func putCopy(_ bytes: [UInt8]) throws(PostgresError) {
        let status = bytes.withUnsafeBytes { bytes in
            PQputCopyData(connection, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count))
        }
        guard status == 1 else { throw failure() }
        try finishSending(Deadline(in: answerTimeout))
    }

    /// - Parameter reason: tells the server to take nothing of it; the error that it answers with is thrown.
    /// - Returns: rows copied.
    func endCopy(failing reason: String? = nil) throws(PostgresError) -> Int {
        guard PQputCopyEnd(connection, reason) == 1 else { throw failure() }
        return PostgresRows(result: try answer(Deadline(in: answerTimeout))).affected
    }

    // MARK: Answers

    /// The last result of what was sent, once the server is ready for the next statement.
    /// - Throws: the first error among the results.
    private func answer(_ deadline: Deadline) throws(PostgresError) -> ResultBox {
        try finishSending(deadline)
        var last: ResultBox?
        var failure: PostgresError?
        while let box = try nextResult(deadline) {
            // libpq would offer the same result for ever.
            if [PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH].contains(PQresultStatus(box.pointer)) {
                throw drop("a COPY was sent as a statement")
            }
            failure = failure ?? error(of: box)
            last = box
        }
        if let failure { throw failure }
        guard let last else { throw self.failure() }
        return last
    }

    private func finishSending(_ deadline: Deadline) throws(PostgresError) {
        while true {
            switch PQflush(connection) {
            case 0: return
            case 1: try wait(writing: true, deadline)
            default: throw failure()
            }
        }
    }

    private func nextResult(_ deadline: Deadline) throws(PostgresError) -> ResultBox? {
        while PQisBusy(connection) == 1 { try wait(writing: false, deadline) }
        return PQgetResult(connection).map { ResultBox(pointer: $0) }
    }

    /// Waits for the socket and takes what it has; a wake cancels the statement on the server.
    private func wait(writing: Bool, _ deadline: Deadline) throws(PostgresError) {
        switch SocketWait.wait(for: socket, writing: writing, waker: waker, until: deadline.within(1)) {
        case .ready(let isReadable):
            // A server that has something to say takes nothing more until it is heard.
            if isReadable, PQconsumeInput(connection) != 1 { throw failure() }
        case .timedOut where !deadline.isOver:
            // With TLS, bytes may have been read off the socket that libpq has not asked for yet.
            guard PQconsumeInput(connection) == 1 else { throw failure() }
        case .woken:
            waker?.clear()
            guard StatementCancel(connection)?.run(within: 5) ?? false else {
                throw drop("the statement could not be cancelled within 5 s")
            }
        case .timedOut:
            // The statement would run on, for nobody.
            StatementCancel(connection)?.start()
            throw drop("no answer in time")
        }
    }

    private func drop(_ reason: String) -> PostgresError {
        isDropped = true
        // Ends a wait for the connection's last bytes, too.
        shutdown(socket, Int32(SHUT_RDWR))
        return PostgresError(kind: .connection, message: "PostgreSQL: \(reason); the connection is given up")
    }

    private func checkUsable() throws(PostgresError) {
        guard !isBroken else { throw PostgresError(kind: .connection, message: "the connection is lost") }
    }

    /// nil for a result that is none.
    private func error(of box: ResultBox) -> PostgresError? {
        switch PQresultStatus(box.pointer) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_COPY_IN: return nil
        case PGRES_EMPTY_QUERY: return PostgresError(kind: .permanent, message: "the statement is empty")
        default:
            let error = PostgresError(result: box.pointer)
            guard PQstatus(connection) == CONNECTION_OK else {
                return PostgresError(kind: .connection, sqlState: error.sqlState, message: error.message)
            }
            return error
        }
    }

    private func failure() -> PostgresError {
        PostgresError(kind: isBroken ? .connection : .permanent, message: firstLine(PQerrorMessage(connection)))
    }
}

/// Owns a PGresult.
final class ResultBox {
    let pointer: OpaquePointer
    init(pointer: OpaquePointer) { self.pointer = pointer }
    deinit { PQclear(pointer) }
}

extension PostgresRows {
    init(result: ResultBox) { self.init(result: result.pointer) }
}

func withCStrings<Result>(_ strings: [String?], _ body: ([UnsafePointer<CChar>?]) -> Result) -> Result {
    let copies = strings.map { $0.map { strdup($0)! } }
    defer { copies.forEach { free($0) } }
    return body(copies.map { $0.map { UnsafePointer($0) } } + [nil])
}

func firstLine(_ text: UnsafePointer<CChar>) -> String {
    String(String(cString: text).prefix { !$0.isNewline })
}
