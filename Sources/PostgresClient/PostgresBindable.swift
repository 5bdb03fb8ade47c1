// Values that a statement can take. All go in PostgreSQL's text form, which the server parses by the parameter's type.
import Foundation
import JSON

/// A value for `$n`.
package protocol PostgresBindable: Sendable {
    /// The value in PostgreSQL's text form; nil is NULL.
    var postgresText: String? { get }
}

extension String: PostgresBindable { package var postgresText: String? { self } }
extension Int: PostgresBindable { package var postgresText: String? { String(self) } }
extension Int64: PostgresBindable { package var postgresText: String? { String(self) } }
extension Int32: PostgresBindable { package var postgresText: String? { String(self) } }
extension Bool: PostgresBindable { package var postgresText: String? { self ? "true" : "false" } }
extension UUID: PostgresBindable { package var postgresText: String? { uuidString.lowercased() } }
extension JSONValue: PostgresBindable { package var postgresText: String? { text() } }

extension Double: PostgresBindable {
    package var postgresText: String? {
        if isNaN { return "NaN" }
        return isInfinite ? (self < 0 ? "-Infinity" : "Infinity") : description
    }
}

/// A point in time, to the microsecond.
extension Date: PostgresBindable {
    package var postgresText: String? {
        // In UTC and with all digits, so that neither the session's time zone nor its date style matters.
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        let microseconds = (timeIntervalSince1970 * 1e6).rounded()
        let seconds = (microseconds / 1e6).rounded(.down)
        let text = Date(timeIntervalSince1970: seconds).formatted(style)
        let fraction = String(Int(microseconds - seconds * 1e6) + 1_000_000).dropFirst()
        return text.prefix(while: { $0 != "." && $0 != "Z" }) + "." + fraction + "Z"
    }
}

/// Bytes of a `bytea`.
package struct PostgresBytes: PostgresBindable {
    package let bytes: [UInt8]
    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var postgresText: String? {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = Array("\\x".utf8)
        text.reserveCapacity(2 + 2 * bytes.count)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Optional: PostgresBindable where Wrapped: PostgresBindable {
    package var postgresText: String? { self?.postgresText }
}

/// A one-dimensional array of any element type.
extension Array: PostgresBindable where Element: PostgresBindable {
    package var postgresText: String? {
        var text = "{"
        for (index, element) in enumerated() {
            if index > 0 { text += "," }
            guard let element = element.postgresText else {
                text += "NULL"
                continue
            }
            text += "\""
            for character in element.unicodeScalars {
                if character == "\"" || character == "\\" { text += "\\" }
                text.unicodeScalars.append(character)
            }
            text += "\""
        }
        return text + "}"
    }
}
