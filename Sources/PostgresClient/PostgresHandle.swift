// One PGconn, used by one thread at a time; its calls block. `PostgresConnection` puts it behind a queue; the heartbeat
// uses it as it is, from its own thread.
import CPostgres
import Glibc
import Logging

/// A blocking connection.
package final class PostgresHandle {
    private let connection: OpaquePointer

    /// - Throws: `PostgresError` of kind `.connection` when no connection can be made.
    package init(_ configuration: PostgresConfiguration, logger: Logger? = nil) throws(PostgresError) {
        let keywords = configuration.keywords
        let opened = Self.withCStrings(keywords.map(\.0)) { names in
            Self.withCStrings(keywords.map(\.1)) { values in PQconnectdbParams(names, values, 0) }
        }
        guard let opened else { throw PostgresError(kind: .connection, message: "no memory for a connection") }
        guard PQstatus(opened) == CONNECTION_OK else {
            let message = String(cString: PQerrorMessage(opened))
            PQfinish(opened)
            throw PostgresError(
                kind: .connection, message: "PostgreSQL can't be reached: " + message.trimmingSuffix(while: \.isNewline)
            )
        }
        connection = opened
        PQsetNoticeProcessor(opened, { _, _ in }, nil)
    }

    deinit { PQfinish(connection) }

    /// Runs one statement with its values and waits for the answer.
    package func query(_ sql: SQL, _ binds: [(any PostgresBindable)?] = []) throws(PostgresError) -> PostgresRows {
        let texts = binds.map { $0?.postgresText }
        if let place = texts.firstIndex(where: { $0?.utf8.contains(0) ?? false }) {
            throw PostgresError(
                kind: .permanent, sqlState: "22021",
                message: "parameter $\(place + 1): PostgreSQL's text can't hold a NUL byte")
        }
        let result = Self.withCStrings(texts) { values in
            PQexecParams(connection, sql.text, Int32(texts.count), nil, values, nil, nil, 0)
        }
        return PostgresRows(result: try check(result))
    }

    /// Runs several statements without values (a migration).
    package func script(_ sql: SQL) throws(PostgresError) { _ = try check(PQexec(connection, sql.text)) }

    /// `COPY … FROM STDIN` in text format.
    /// - Returns: rows copied.
    package func copyIn(_ sql: SQL, rows: some Sequence<[String?]>) throws(PostgresError) -> Int {
        _ = try check(PQexec(connection, sql.text))
        var buffer: [UInt8] = []
        func flush() throws(PostgresError) {
            let status = buffer.withUnsafeBytes { bytes in
                PQputCopyData(connection, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count))
            }
            guard status == 1 else { throw failure() }
            buffer.removeAll(keepingCapacity: true)
        }
        for row in rows {
            Self.appendCopyLine(row, to: &buffer)
            if buffer.count > 1 << 16 { try flush() }
        }
        if !buffer.isEmpty { try flush() }
        guard PQputCopyEnd(connection, nil) == 1 else { throw failure() }
        let rows = PostgresRows(result: try check(PQgetResult(connection)))
        while let rest = PQgetResult(connection) { PQclear(rest) }
        return rows.affected
    }

    // MARK: For PostgresConnection and PostgresListener

    var isBroken: Bool { PQstatus(connection) != CONNECTION_OK }

    /// `PQTRANS_UNKNOWN` when the connection is broken.
    var transactionStatus: PGTransactionStatusType { PQtransactionStatus(connection) }

    /// What another thread needs to cancel the statement that runs; to be freed with `PQfreeCancel`.
    func makeCancel() -> OpaquePointer? { PQgetCancel(connection) }

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

    // MARK: Results

    /// The result, cleared when the box goes.
    private func check(_ result: OpaquePointer?) throws(PostgresError) -> ResultBox {
        guard let result else { throw failure() }
        let box = ResultBox(pointer: result)
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_COPY_IN: return box
        case PGRES_EMPTY_QUERY: throw PostgresError(kind: .permanent, message: "the statement is empty")
        default:
            let error = PostgresError(result: result)
            throw isBroken
                ? PostgresError(kind: .connection, sqlState: error.sqlState, message: error.message) : error
        }
    }

    private func failure() -> PostgresError {
        PostgresError(
            kind: isBroken ? .connection : .permanent,
            message: String(cString: PQerrorMessage(connection)).trimmingSuffix(while: \.isNewline))
    }

    private static func appendCopyLine(_ row: [String?], to buffer: inout [UInt8]) {
        for (index, value) in row.enumerated() {
            if index > 0 { buffer.append(UInt8(ascii: "\t")) }
            guard let value else {
                buffer.append(contentsOf: Array("\\N".utf8))
                continue
            }
            for byte in value.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): buffer.append(contentsOf: Array("\\\\".utf8))
                case UInt8(ascii: "\n"): buffer.append(contentsOf: Array("\\n".utf8))
                case UInt8(ascii: "\r"): buffer.append(contentsOf: Array("\\r".utf8))
                case UInt8(ascii: "\t"): buffer.append(contentsOf: Array("\\t".utf8))
                default: buffer.append(byte)
                }
            }
        }
        buffer.append(UInt8(ascii: "\n"))
    }

    private static func withCStrings<Result>(
        _ strings: [String?], _ body: ([UnsafePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { $0.map { strdup($0)! } }
        defer { copies.forEach { free($0) } }
        return body(copies.map { $0.map { UnsafePointer($0) } } + [nil])
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

extension String {
    fileprivate func trimmingSuffix(while matches: (Character) -> Bool) -> String {
        var end = endIndex
        while end > startIndex, matches(self[index(before: end)]) { end = index(before: end) }
        return String(self[..<end])
    }
}
