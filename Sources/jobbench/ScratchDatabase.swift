// A database of the benchmark's own on the server of DATABASE_URL, with the schema, dropped afterwards.
import Foundation
import JobSettings
import JobStorage
import Logging
import PostgresClient

struct ScratchDatabase {
    let configuration: PostgresConfiguration
    let pool: PostgresPool
    var store: PostgresJobStore { PostgresJobStore(pool: pool) }

    static func with(_ body: (ScratchDatabase) async throws -> Void) async throws {
        let server = try ServerAddresses(home: MillraceHome()).database
        let name = "bench_" + UUID().uuidString.prefix(8).lowercased()
        guard var parts = URLComponents(string: server) else { throw Fault(description: "DATABASE_URL: is no URL") }
        parts.path = "/" + name
        let admin = try await PostgresConnection.connect(try PostgresConfiguration(url: server))
        _ = try await admin.query(SQL(trusted: "CREATE DATABASE \(name)"))
        // Millions of rows are filled in by one statement.
        let configuration = try PostgresConfiguration(url: parts.string!, applicationName: "jobbench")
            .timeouts(answer: 3600)
        let pool = PostgresPool(configuration, size: 8, logger: Self.logger)
        func drop() async {
            await pool.close()
            _ = try? await admin.query(SQL(trusted: "DROP DATABASE \(name) WITH (FORCE)"))
            await admin.close()
        }
        do {
            _ = try await Migrator(configuration).up()
            try await body(ScratchDatabase(configuration: configuration, pool: pool))
            await drop()
        } catch {
            await drop()
            throw error
        }
    }

    struct Fault: Error, CustomStringConvertible { let description: String }

    static let logger: Logger = {
        var logger = Logger(label: "jobbench")
        logger.logLevel = .warning
        return logger
    }()
}
