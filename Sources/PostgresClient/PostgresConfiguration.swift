// Where the database is and how to talk to it.
import CPostgres

/// A connection string (URI or keywords) with the settings that Millrace needs. Never prints the password.
package struct PostgresConfiguration: Sendable, CustomStringConvertible {
    let keywords: [(String, String)]
    /// Seconds to connect to one server.
    package private(set) var connectTimeout: Double
    /// Seconds that an answer may take, unless the call says otherwise; nil waits for ever.
    package private(set) var answerTimeout: Double? = 60

    /// - Throws: `PostgresError` (permanent) for a string that libpq does not understand.
    package init(url: String, applicationName: String = "millrace") throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(url, &message) else {
            PQfreemem(message)
            // libpq's message repeats the string, password and all.
            throw PostgresError(kind: .permanent, message: "DATABASE_URL is not a connection string of PostgreSQL")
        }
        defer { PQconninfoFree(options) }
        // A peer that vanished without a word is noticed within half a minute by the kernel, also where nobody waits for
        // an answer. All of them may be set in the URL.
        var settings = [
            "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
            "tcp_user_timeout": "30000", "client_encoding": "UTF8", "application_name": applicationName,
        ]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { settings[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        // Zero and less is libpq's "for ever".
        let seconds = settings.removeValue(forKey: "connect_timeout").map { Double($0) ?? 0 } ?? 10
        connectTimeout = seconds > 0 ? seconds : 86_400
        keywords = settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The same server with another database; for tests and for creating databases.
    package func database(_ name: String) -> PostgresConfiguration { setting("dbname", to: name) }

    /// The same server with other limits, in seconds.
    package func timeouts(connect: Double? = nil, answer: Double?) -> PostgresConfiguration {
        var copy = self
        copy.connectTimeout = connect ?? connectTimeout
        copy.answerTimeout = answer
        return copy
    }

    private init(_ keywords: [(String, String)], _ connectTimeout: Double, _ answerTimeout: Double?) {
        self.keywords = keywords
        self.connectTimeout = connectTimeout
        self.answerTimeout = answerTimeout
    }

    private func setting(_ keyword: String, to value: String?) -> PostgresConfiguration {
        let others = keywords.filter { $0.0 != keyword }
        return PostgresConfiguration(others + (value.map { [(keyword, $0)] } ?? []), connectTimeout, answerTimeout)
    }

    private func value(_ keyword: String) -> String? { keywords.first { $0.0 == keyword }?.1 }

    /// One configuration per server, in the order in which they are to be tried: a connection string may name several.
    var servers: [PostgresConfiguration] {
        func list(_ keyword: String) -> [String]? {
            value(keyword).map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        }
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"))
        let count = max(hosts?.count ?? 1, addresses?.count ?? 1)
        guard count > 1 else { return [self] }
        let each = (0..<count).map { place in
            func part(_ parts: [String]?) -> String? {
                parts.flatMap { $0.count == 1 ? $0[0] : $0.count == count ? $0[place] : nil }
            }
            return setting("host", to: part(hosts)).setting("hostaddr", to: part(addresses))
                .setting("port", to: part(ports))
        }
        guard value("target_session_attrs") == "prefer-standby" else { return each }
        return each.map { $0.setting("target_session_attrs", to: "standby") }
            + each.map { $0.setting("target_session_attrs", to: "any") }
    }

    package var description: String {
        let shown = ["host", "port", "dbname", "user"]
        return keywords.filter { shown.contains($0.0) }.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
    }
}
