// What the server says beside its answers.
import CPostgres
import Logging

/// Writes NOTICE and its like at debug, WARNING at info: they are about the server's work, not about ours.
final class NoticeLog {
    private let logger: Logger?
    init(logger: Logger?) { self.logger = logger }

    /// For `PQsetNoticeReceiver`, with a `NoticeLog` as its argument, which must outlive the connection.
    static let receiver: PQnoticeReceiver = { argument, result in
        guard let argument, let result else { return }
        let log = Unmanaged<NoticeLog>.fromOpaque(argument).takeUnretainedValue()
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue!)).map { String(cString: $0) }
        }
        guard let text = field("M") else { return }
        // "V" is the severity in English, whatever the server's language is.
        let severity = field("V") ?? "NOTICE"
        log.logger?.log(level: severity == "WARNING" ? .info : .debug, "PostgreSQL \(severity.lowercased()): \(text)")
    }
}
