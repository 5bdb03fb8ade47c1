// Stopping the statement that runs on a connection.
import CPostgres
import Foundation
import ServerLinks

/// A request to cancel. libpq sends it by a connection of its own and waits without limit, so it has a thread of its own,
/// which is left behind when the server does not answer.
struct StatementCancel: @unchecked Sendable {
    /// A PGcancel, which libpq allows any thread to use.
    private let pointer: OpaquePointer
    private let done = Waker()

    init?(_ connection: OpaquePointer) {
        guard let pointer = PQgetCancel(connection) else { return nil }
        self.pointer = pointer
    }

    /// Called at most once, and `run` or `start` exactly once, since they free the request.
    func start() {
        let thread = Thread { [self] in
            var reason = [CChar](repeating: 0, count: 256)
            PQcancel(pointer, &reason, Int32(reason.count))
            PQfreeCancel(pointer)
            done.wake()
        }
        thread.name = "pg-cancel"
        thread.start()
    }

    /// - Returns: true when the server has taken the request: its signal is then on the way to the statement, and can't hit
    ///   one that is sent from now on.
    func run(within seconds: Double) -> Bool {
        start()
        return done.wait(until: Deadline(in: seconds))
    }
}
