// A PgBouncer in transaction mode between clients and the test server.
import Foundation
import Glibc
import PostgresClient

/// Each transaction gets a server connection of its own: two of them for however many clients.
package final class TestPooler: Sendable {
    private let folder: String
    private let process: TestProcess
    /// The database of `url`, through the pooler.
    package let url: String

    package init(to database: TestDatabase) async throws {
        folder = NSTemporaryDirectory() + "millrace-pooler-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // PgBouncer is not to run as root, and then writes into a folder that is not its own.
        chmod(folder, 0o777)
        guard let server = URLComponents(string: database.url), let host = server.host, let port = server.port,
            let user = server.user, let password = server.password
        else { throw Timeout(description: "DATABASE_URL has no host, port, user or password") }
        let settings = """
            [databases]
            * = host=\(host) port=\(port) user=\(user) password='\(password)'
            [pgbouncer]
            pool_mode = transaction
            default_pool_size = 2
            max_client_conn = 200
            auth_type = any
            listen_port = 6432
            unix_socket_dir = \(folder)
            ignore_startup_parameters = extra_float_digits,options
            """
        try Data(settings.utf8).write(to: URL(fileURLWithPath: folder + "/pgbouncer.ini"))
        let asUser = getuid() == 0 ? ["-u", "postgres"] : []
        process = try TestProcess(
            "/usr/sbin/pgbouncer", asUser + [folder + "/pgbouncer.ini"], log: folder + "/log")
        url = "postgresql://\(user)@/\(database.name)?host=\(folder)&port=6432"
        let configuration = try PostgresConfiguration(url: url)
        do {
            try await eventually(within: 60, "the pooler answers") {
                guard let connection = try? await PostgresConnection.connect(configuration) else { return false }
                await connection.close()
                return true
            }
        } catch {
            let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
            await remove()
            throw Timeout(description: "\(error): \(log)")
        }
    }

    package func remove() async {
        await process.kill()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
