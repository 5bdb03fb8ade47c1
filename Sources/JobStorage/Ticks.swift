// Something to wait for: a wake-up, or the next beat of a clock.

/// Merges wake-ups with a steady tick; several that come while nobody waits are one.
package final class Ticks: Sendable {
    package let stream: AsyncStream<Void>
    private let tasks: [Task<Void, Never>]

    package init(wake: AsyncStream<Void>, interval: Double) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.stream = stream
        tasks = [
            Task { for await _ in wake { continuation.yield() } },
            Task {
                while !Task.isCancelled {
                    continuation.yield()
                    // Jitter, so that a fleet that started together does not poll together.
                    try? await Task.sleep(for: .seconds(interval * Double.random(in: 0.9...1.1)))
                }
            },
        ]
    }

    deinit { for task in tasks { task.cancel() } }
}
