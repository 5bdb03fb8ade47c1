package enum RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    case invalidURL(String)
    /// No connection, or it was lost; whether the command took effect is unknown.
    case connection(String)
    /// The server's own error, e.g. `WRONGTYPE …`.
    case server(String)
    case unexpectedReply(String)

    package var description: String {
        switch self {
        case .invalidURL(let reason): "REDIS_URL: \(reason)"
        case .connection(let reason): "Redis can't be reached: \(reason)"
        case .server(let message): "Redis: \(message)"
        case .unexpectedReply(let reply): "Redis: unexpected reply \(reply)"
        }
    }
}
