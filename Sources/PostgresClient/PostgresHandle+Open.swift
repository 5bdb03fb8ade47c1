// Connecting, one server after the other, each with its deadline.
import CPostgres
import Glibc
import ServerLinks

extension PostgresHandle {
    /// The first server that takes the connection.
    static func open(_ configuration: PostgresConfiguration, _ waker: Waker?) throws(PostgresError) -> OpaquePointer {
        var failures: [PostgresError] = []
        for server in configuration.servers {
            do throws(PostgresError) {
                return try open(server: server, waker)
            } catch {
                if error.kind == .cancelled { throw error }
                failures.append(error)
            }
        }
        guard failures.count > 1 else { throw failures[0] }
        throw PostgresError(
            kind: failures.contains { $0.kind == .connection } ? .connection : failures[0].kind,
            sqlState: failures[0].sqlState, message: failures.map(\.message).joined(separator: "; "))
    }

    private static func open(
        server: PostgresConfiguration, _ waker: Waker?
    ) throws(PostgresError) -> OpaquePointer {
        let started = withCStrings(server.keywords.map(\.0)) { names in
            withCStrings(server.keywords.map(\.1)) { values in PQconnectStartParams(names, values, 0) }
        }
        guard let started else { throw PostgresError(kind: .connection, message: "no memory for a connection") }
        do throws(PostgresError) {
            // With the SQLSTATE in the text: an attempt to connect has no result to ask for it.
            let verbosity = PQsetErrorVerbosity(started, PQERRORS_VERBOSE)
            try finish(started, server.connectTimeout, waker)
            PQsetErrorVerbosity(started, verbosity)
            return started
        } catch {
            PQfinish(started)
            throw error
        }
    }

    private static func finish(
        _ connection: OpaquePointer, _ seconds: Double, _ waker: Waker?
    ) throws(PostgresError) {
        let deadline = Deadline(in: seconds)
        var status = PGRES_POLLING_WRITING
        while status != PGRES_POLLING_OK {
            guard status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING,
                PQstatus(connection) != CONNECTION_BAD
            else { throw refusal(String(cString: PQerrorMessage(connection))) }
            let isWriting = status == PGRES_POLLING_WRITING
            switch SocketWait.wait(
                for: PQsocket(connection), reading: !isWriting, writing: isWriting, waker: waker, until: deadline)
            {
            case .ready: status = PQconnectPoll(connection)
            case .woken: throw PostgresError(kind: .cancelled, message: "cancelled")
            case .timedOut:
                let place = [PQhost(connection), PQport(connection)].map { $0.map { String(cString: $0) } ?? "" }
                throw PostgresError(
                    kind: .connection,
                    message: "PostgreSQL can't be reached: no answer from \(place.joined(separator: ":"))")
            }
        }
    }

    /// What libpq says in its verbose form, as one plain line.
    static func refusal(_ text: String) -> PostgresError {
        // Of several addresses of a host each has a line; hints and places in the server's source have others.
        let lines = text.split(whereSeparator: \.isNewline).map(String.init)
        let line = lines.last { $0.hasPrefix("connection to server") } ?? lines.first ?? "unknown reason"
        // "…: FATAL:  28P01: password authentication failed …": two blanks, and a word in the server's language before.
        guard let gap = line.firstRange(of: ":  "), case let rest = line[gap.upperBound...],
            rest.prefix(5).allSatisfy({ $0.isASCII && ($0.isNumber || $0.isUppercase) }),
            rest.dropFirst(5).hasPrefix(": ")
        else { return PostgresError(kind: .connection, message: "PostgreSQL can't be reached: \(line)") }
        let state = String(rest.prefix(5))
        let reason = rest.dropFirst(7)
        if PostgresError.kind(of: state) == .authentication {
            return PostgresError(
                kind: .authentication, sqlState: state, message: "PostgreSQL: authentication failed: \(reason)")
        }
        return PostgresError(
            kind: .connection, sqlState: state, message: "PostgreSQL refuses the connection: \(reason)")
    }
}
