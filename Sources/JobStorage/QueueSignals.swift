// What a process hears from the database: one listening connection, split by meaning.
import JobModel
import Logging
import PostgresClient

/// Wake-ups for those who would otherwise poll. A lost notification costs a poll interval, nothing more.
package final class QueueSignals: Sendable {
    package enum Work: Sendable, Equatable {
        /// Something may be ready in this queue; nil: in any.
        case ready(queue: String?)
        case cancel(JobID)
    }

    package let work: AsyncStream<Work>
    /// Yields when there may be events to publish.
    package let outbox: AsyncStream<Void>
    private let listener: PostgresListener
    private let task: Task<Void, Never>

    package init(_ configuration: PostgresConfiguration, logger: Logger) {
        let listener = PostgresListener(
            configuration, channels: ["millrace_ready", "millrace_cancel", "millrace_outbox"], logger: logger)
        let (work, workContinuation) = AsyncStream.makeStream(of: Work.self, bufferingPolicy: .bufferingNewest(1024))
        let (outbox, outboxContinuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.listener = listener
        self.work = work
        self.outbox = outbox
        task = Task {
            for await event in listener.events {
                switch event {
                case .connected:
                    workContinuation.yield(.ready(queue: nil))
                    outboxContinuation.yield()
                case .notification(let notification):
                    switch notification.channel {
                    case "millrace_ready": workContinuation.yield(.ready(queue: notification.payload))
                    case "millrace_cancel": JobID(notification.payload).map { _ = workContinuation.yield(.cancel($0)) }
                    default: outboxContinuation.yield()
                    }
                }
            }
            workContinuation.finish()
            outboxContinuation.finish()
        }
    }

    package func stop() { listener.stop() }

    deinit {
        listener.stop()
        task.cancel()
    }
}
