// What a worker pool is to do; read from the pool's file in workers/ and changed by the command line.
import JSON
import JobModel

package struct WorkerProfile: Sendable {
    package var name: String
    package var queues: [String]
    /// Seconds between looks at the queue when nothing wakes the worker.
    package var pollInterval: Double
    /// Seconds that running jobs have to end after SIGTERM; what still runs then is handed back.
    package var drainTimeout: Double
    /// Seconds between the moments at which what running jobs have written is stored,
    package var streamInterval: Double
    /// unless one of them has written so many tokens before.
    package var streamTokens: Int

    package init(
        name: String, queues: [String] = ["default"], pollInterval: Double = 1, drainTimeout: Double = 30,
        streamInterval: Double = 0.5, streamTokens: Int = 64
    ) {
        self.name = name
        self.queues = queues
        self.pollInterval = pollInterval
        self.drainTimeout = drainTimeout
        self.streamInterval = streamInterval
        self.streamTokens = streamTokens
    }

    package var json: JSONValue {
        ["queues": .array(queues.map { .string($0) }), "poll_interval": .number(pollInterval)]
    }
}
