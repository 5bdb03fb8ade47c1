// A log that a test can read.
import Logging
import Synchronization

package final class LogRecords: Sendable {
    private let records = Mutex<[String]>([])

    package init() {}

    /// Level and message of each record.
    package var lines: [String] { records.withLock { $0 } }

    package var logger: Logger {
        var logger = Logger(label: "test", factory: { _ in Handler(log: self) })
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let log: LogRecords
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.records.withLock { $0.append("\(event.level) \(event.message)") }
        }
    }
}
