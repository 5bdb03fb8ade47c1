// What can go wrong with a database, and whether trying again helps.
import CPostgres

package struct PostgresError: Error, Sendable {
    package enum Kind: Sendable, Equatable {
        /// The connection is gone or could not be made, or an answer did not come in time: whether the statement took effect
        /// is unknown.
        case connection
        /// The server refuses the user or the password; waiting alone does not mend it.
        case authentication
        /// The same statement may succeed when it is sent again.
        case retriable
        case permanent
        /// The caller cancelled it.
        case cancelled
    }

    package let kind: Kind
    /// Five characters, as in the table of PostgreSQL's error codes; nil when the server did not answer.
    package let sqlState: String?
    /// The server's primary message. Millrace's own triggers name the field in it.
    package let message: String
    /// May hold values of rows: for logs of developers, not for users.
    package let detail: String?
    package let constraint: String?
    package let column: String?

    package init(
        kind: Kind, sqlState: String? = nil, message: String, detail: String? = nil, constraint: String? = nil,
        column: String? = nil
    ) {
        self.kind = kind
        self.sqlState = sqlState
        self.message = message
        self.detail = detail
        self.constraint = constraint
        self.column = column
    }

    init(result: OpaquePointer) {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue!)).map { String(cString: $0) }
        }
        let state = field("C")
        let message = field("M") ?? String(cString: PQresultErrorMessage(result))
        self.init(
            kind: state.map(Self.kind) ?? .connection, sqlState: state, message: message, detail: field("D"),
            constraint: field("n"), column: field("c"))
    }

    /// Class of an SQLSTATE (PostgreSQL manual, appendix A).
    package static func kind(of sqlState: String) -> Kind {
        switch sqlState {
        case "57014": .cancelled
        // Serialisation failure, deadlock, lock not available.
        case "40001", "40P01", "55P03": .retriable
        // The server is shutting down or starting; it will be back.
        case "57P01", "57P02", "57P03": .connection
        default:
            switch sqlState.prefix(2) {
            case "08": .connection
            case "28": .authentication
            case "53": .retriable
            default: .permanent
            }
        }
    }
}

extension PostgresError: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { message }
    package var debugDescription: String {
        "\(message) [\(sqlState ?? "no SQLSTATE"), \(kind)]" + (detail.map { " \($0)" } ?? "")
    }
}
