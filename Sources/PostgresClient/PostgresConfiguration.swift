// Where the database is and how to talk to it.
import CPostgres

/// A connection string (URI or keywords) with the settings that Millrace needs. Never prints the password.
package struct PostgresConfiguration: Sendable, CustomStringConvertible {
    let keywords: [(String, String)]

    /// - Throws: `PostgresError` (permanent) for a string that libpq does not understand.
    package init(url: String, applicationName: String = "millrace") throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(url, &message) else {
            PQfreemem(message)
            // libpq's message repeats the string, password and all.
            throw PostgresError(kind: .permanent, message: "DATABASE_URL is not a connection string of PostgreSQL")
        }
        defer { PQconninfoFree(options) }
        // A peer that vanished without a word is noticed within half a minute, not after hours.
        var settings = [
            "connect_timeout": "10", "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5",
            "keepalives_count": "3", "tcp_user_timeout": "30000", "client_encoding": "UTF8",
            "application_name": applicationName,
        ]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { settings[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        keywords = settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The same server with another database; for tests and for creating databases.
    package func database(_ name: String) -> PostgresConfiguration {
        var copy = keywords.filter { $0.0 != "dbname" }
        copy.append(("dbname", name))
        return PostgresConfiguration(keywords: copy)
    }

    private init(keywords: [(String, String)]) { self.keywords = keywords }

    package var description: String {
        let shown = ["host", "port", "dbname", "user"]
        return keywords.filter { shown.contains($0.0) }.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
    }
}
