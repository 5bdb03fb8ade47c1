// A database of its own for each test, on the server that DATABASE_URL names.
import Foundation
import JobStorage
import Logging
import PostgresClient

package struct MissingVariable: Error, CustomStringConvertible {
    package let description: String
}

package func requiredVariable(_ name: String) throws -> String {
    guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
        throw MissingVariable(
            description: "\(name) is not set: run scripts/test, which starts the servers that tests need")
    }
    return value
}

package struct TestDatabase: Sendable {
    package let name: String
    /// The connection string, for child processes.
    package let url: String
    package let configuration: PostgresConfiguration

    /// Runs `body` with a new database that has the schema, and drops it afterwards.
    package static func with<Value>(migrated: Bool = true, _ body: (TestDatabase) async throws -> Value) async throws
        -> Value
    {
        let server = try requiredVariable("DATABASE_URL")
        let name = "test_" + UUID().uuidString.replacingOccurrences(of: "-", with: "").lowercased()
        guard var parts = URLComponents(string: server) else {
            throw MissingVariable(description: "DATABASE_URL is no URL")
        }
        parts.path = "/" + name
        let admin = try await PostgresConnection.connect(try PostgresConfiguration(url: server))
        _ = try await admin.query(SQL(trusted: "CREATE DATABASE \(name)"))
        let database = TestDatabase(
            name: name, url: parts.string!, configuration: try PostgresConfiguration(url: parts.string!))
        func drop() async {
            _ = try? await admin.query(SQL(trusted: "DROP DATABASE \(name) WITH (FORCE)"))
            await admin.close()
        }
        do {
            if migrated { _ = try await Migrator(database.configuration).up() }
            let value = try await body(database)
            await drop()
            return value
        } catch {
            await drop()
            throw error
        }
    }

    package func pool(_ size: Int = 4) -> PostgresPool {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        return PostgresPool(configuration, size: size, logger: logger)
    }
}

/// Asks again and again until the answer is true.
/// - Throws: `Timeout` when a question that was put after `seconds` is still answered with no: on a busy machine an answer
///   may take longer than all the time there was.
package func eventually(
    within seconds: Double, _ what: String, _ isTrue: () async throws -> Bool
) async throws {
    let deadline = Date().addingTimeInterval(seconds)
    while true {
        let isLast = Date() >= deadline
        if try await isTrue() { return }
        guard !isLast else { throw Timeout(description: "not within \(seconds) s: \(what)") }
        try await Task.sleep(for: .milliseconds(50))
    }
}

package struct Timeout: Error, CustomStringConvertible {
    package let description: String
    package init(description: String) { self.description = description }
}
