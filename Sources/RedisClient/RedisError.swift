package enum RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    case invalidURL(String)
    /// No connection, or it was lost; whether the command took effect is unknown.
    case connection(String)
    /// The server refuses the user or the password.
    case authentication(String)
    /// The server's own error, e.g. `WRONGTYPE …`.
    case server(String)
    case unexpectedReply(String)

    init(server message: String) {
        let refusals = ["WRONGPASS", "NOAUTH", "ERR invalid password", "ERR AUTH"]
        self = refusals.contains(where: message.hasPrefix) ? .authentication(message) : .server(message)
    }

    package var description: String {
        switch self {
        case .invalidURL(let reason): "REDIS_URL: \(reason)"
        case .connection(let reason): "Redis can't be reached: \(reason)"
        case .authentication(let message): "Redis: authentication failed: \(message)"
        case .server(let message): "Redis: \(message)"
        case .unexpectedReply(let reply): "Redis: unexpected reply \(reply)"
        }
    }
}
