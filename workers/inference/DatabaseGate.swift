// The wait for a database that is not there when the worker starts.
import Logging
import PostgresClient
import ServerLinks
import UnixSignals

struct DatabaseGate {
    let pool: PostgresPool
    let logger: Logger

    /// Returns when the database answers; says once what keeps it, and goes on trying.
    /// - Returns: false when SIGTERM or SIGINT came first.
    func pass() async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) { break }
                return false
            }
            group.addTask { await connect() }
            let isOpen = await group.next() ?? false
            group.cancelAll()
            return isOpen
        }
    }

    private func connect() async -> Bool {
        var backoff = Backoff(first: 0.5, longest: 5)
        var reason: String?
        while !Task.isCancelled {
            do throws(PostgresError) {
                try await pool.connect()
                if reason != nil { logger.notice("the database answers") }
                return true
            } catch {
                // Once for each reason, not at every try.
                let level: Logger.Level = error.message == reason ? .debug : .error
                logger.log(level: level, "the worker can't begin, and keeps trying: \(error)")
                reason = error.message
            }
            try? await Task.sleep(for: .seconds(backoff.next()))
        }
        return false
    }
}
