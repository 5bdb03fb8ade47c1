// The clock of a rendering. It is handed in, so that a job that is rendered again says the same date.
import Glibc

/// A moment, and the offset of the wall clock that `strftime_now` shows.
package struct TemplateTime: Sendable {
    package var secondsSince1970: Int64
    package var microseconds: Int
    package var secondsFromUTC: Int

    package init(secondsSince1970: Int64, microseconds: Int = 0, secondsFromUTC: Int = 0) {
        self.secondsSince1970 = secondsSince1970
        self.microseconds = microseconds
        self.secondsFromUTC = secondsFromUTC
    }

    private static let maximumFormat = 1024
    private static let maximumText = 65_536

    /// Python's `datetime.strftime` for a time without zone. Nil for a format that is too long or makes too long a text,
    /// or that holds a NUL.
    func formatted(_ format: String) -> String? {
        guard format.utf8.count <= Self.maximumFormat, !format.utf8.contains(0) else { return nil }
        var rest = Substring(format)
        var prepared = ""
        while let character = rest.popFirst() {
            prepared.append(character)
            guard character == "%", let directive = rest.popFirst() else { continue }
            switch directive {
            case "f":
                prepared.removeLast()
                let digits = String(microseconds)
                prepared += String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            case "z", "Z": prepared.removeLast()
            default: prepared.append(directive)
            }
        }
        if prepared.isEmpty { return "" }
        let (seconds, overflow) = secondsSince1970.addingReportingOverflow(Int64(secondsFromUTC))
        var moment = time_t(seconds)
        var parts = tm()
        guard !overflow, gmtime_r(&moment, &parts) != nil else { return nil }
        var buffer = [CChar](repeating: 1, count: Self.maximumText)
        let count = strftime(&buffer, buffer.count, prepared, &parts)
        // No text at all is also what a text that does not fit gives; only the first leaves an empty string.
        guard count > 0 || buffer[0] == 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
