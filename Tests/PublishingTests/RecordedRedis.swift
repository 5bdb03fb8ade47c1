// A Redis that keeps a record and fails on demand.
import JSON
import RedisClient
import Synchronization

final class RecordedRedis: Sendable {
    private struct State: Sendable {
        var commands: [[String]] = []
        var failure: (after: Int, error: RedisError, times: Int)?
        var errorReply: String?
    }

    private let state = Mutex(State())
    private let (arrivals, arrival) = AsyncStream.makeStream(of: Void.self)

    /// The next calls take only so many commands, then the connection is lost.
    func fail(after commands: Int, _ error: RedisError, times: Int = 1) {
        state.withLock { $0.failure = (commands, error, times) }
    }

    /// Every command is answered with this error; nil: no more.
    func answerErrors(_ message: String?) { state.withLock { $0.errorReply = message } }

    func send(_ commands: [[String]]) throws(RedisError) -> [RedisReply] {
        let result: Result<[RedisReply], RedisError> = state.withLock { state in
            if let message = state.errorReply { return .success(commands.map { _ in .error(message) }) }
            if let failure = state.failure, failure.times > 0 {
                state.failure?.times -= 1
                state.commands += commands.prefix(failure.after)
                return .failure(failure.error)
            }
            state.commands += commands
            return .success(commands.map { _ in .status("OK") })
        }
        arrival.yield()
        return try result.get()
    }

    var commands: [[String]] { state.withLock(\.commands) }

    /// Numbers of the events on the common channel, in the order in which they came.
    var sequences: [Int] {
        commands.filter { $0[0] == "PUBLISH" && $0[1] == "millrace:events" }
            .compactMap { (try? JSONValue(parsing: $0[2]))?["seq"]?.intValue }
    }

    func hasPublished(_ count: Int) async {
        if sequences.count >= count { return }
        for await _ in arrivals where sequences.count >= count { return }
    }
}
