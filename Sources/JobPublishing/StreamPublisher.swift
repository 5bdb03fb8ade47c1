// Tells Redis what running jobs write. Lossy, for nothing waits for Redis: readers see by the offsets what they missed, and get
// it from `millrace.read_stream`.
import JSON
import JobModel
import RedisClient

package final class StreamPublisher: Sendable {
    private let send: Publisher.Send
    private let pieces: AsyncStream<[ChunkReport]>
    private let told: AsyncStream<[ChunkReport]>.Continuation
    /// Batches that wait for Redis at most.
    private static let patience = 64

    package convenience init(redis: RedisConnection) {
        self.init { try await redis.send($0) }
    }

    package init(send: @escaping Publisher.Send) {
        self.send = send
        (pieces, told) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.patience))
    }

    /// Returns at once.
    package func tell(_ chunks: [ChunkReport]) {
        if !chunks.isEmpty { told.yield(chunks) }
    }

    /// Publishes until the task is cancelled.
    package func run() async {
        for await chunks in pieces {
            _ = try? await send(
                chunks.map { ["PUBLISH", StreamChunk.channel(of: $0.id), $0.chunk.payload(of: $0.id).text()] })
        }
    }
}
