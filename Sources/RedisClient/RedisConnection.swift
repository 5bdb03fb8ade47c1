// A connection for asynchronous code. Blocking calls run on a serial queue of its own.
import Dispatch
import Synchronization

/// Connects at the first command and again at the next command after a loss. A command whose answer was lost is not sent
/// again: only the caller knows whether it may be repeated.
package final class RedisConnection: Sendable {
    package let configuration: RedisConfiguration
    private let queue = DispatchQueue(label: "redis")
    /// Touched on `queue` only.
    private nonisolated(unsafe) var handle: RedisHandle?

    package init(_ configuration: RedisConfiguration) { self.configuration = configuration }

    /// Sends commands in one go.
    /// - Returns: one reply for each; a server's error is a reply, too.
    package func send(_ commands: [[any RedisBindable]]) async throws(RedisError) -> [RedisReply] {
        let result: Result<[RedisReply], RedisError> = await withCheckedContinuation { continuation in
            queue.async { [self] in
                do throws(RedisError) {
                    continuation.resume(returning: .success(try connected().send(commands)))
                } catch {
                    handle = nil
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// On `queue`.
    private func connected() throws(RedisError) -> RedisHandle {
        if let handle { return handle }
        let opened = try RedisHandle(configuration)
        handle = opened
        return opened
    }

    /// Sends one command; a server's error is thrown.
    package func send(_ command: [any RedisBindable]) async throws(RedisError) -> RedisReply {
        let reply = try await send([command])[0]
        if case .error(let message) = reply { throw RedisError(server: message) }
        return reply
    }
}
