// Where Redis is: `redis://[user:password@]host[:port][/database]` or `unix:///path[?db=n]`.
import Foundation

package struct RedisConfiguration: Sendable, CustomStringConvertible {
    package enum Server: Sendable, Equatable {
        case tcp(host: String, port: Int32)
        case unix(path: String)
    }

    package let server: Server
    package let database: Int
    let user: String?
    let password: String?
    /// Seconds for connecting and for each answer.
    package var timeout = 5.0

    package init(url: String) throws(RedisError) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme else {
            throw .invalidURL("not a URL")
        }
        switch scheme {
        case "redis":
            guard let host = parts.host, !host.isEmpty else { throw .invalidURL("no host") }
            guard let port = Int32(exactly: parts.port ?? 6379), (1...65535).contains(port) else {
                throw .invalidURL("the port must be 1 to 65535")
            }
            server = .tcp(host: host, port: port)
            let path = parts.path.dropFirst()
            guard let number = path.isEmpty ? 0 : Int(path), number >= 0 else {
                throw .invalidURL("the database must be a number")
            }
            database = number
        case "unix":
            guard !parts.path.isEmpty else { throw .invalidURL("no path of a socket") }
            server = .unix(path: parts.path)
            database = parts.queryItems?.first { $0.name == "db" }?.value.flatMap(Int.init) ?? 0
        default:
            throw .invalidURL("the scheme must be redis or unix, is \(scheme)")
        }
        user = parts.user.flatMap { $0.isEmpty ? nil : $0 }
        password = parts.password
    }

    /// Without the password.
    package var description: String {
        switch server {
        case .tcp(let host, let port): "\(host):\(port)/\(database)"
        case .unix(let path): "\(path) database \(database)"
        }
    }
}
