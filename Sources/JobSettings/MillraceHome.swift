// Where things are: the home folder and, in it, the addresses of the embedded stack. Every program resolves them here.
import Foundation
import JSON

/// The folder of the embedded stack and of fetched models: `MILLRACE_HOME`, or `.millrace` in the working folder.
package struct MillraceHome: Sendable {
    package let path: String

    package init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        let named = environment["MILLRACE_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? ".millrace"
        path = URL(fileURLWithPath: named).standardizedFileURL.path
    }

    package var models: String { path + "/models" }
    package var stackFile: String { path + "/stack.json" }
}

/// Addresses of the servers: `DATABASE_URL` and `REDIS_URL`, or those of the embedded stack that `jobctl up` started.
package struct ServerAddresses: Sendable, Equatable {
    package var database: String
    package var redis: String

    package init(database: String, redis: String) {
        self.database = database
        self.redis = redis
    }

    /// - Throws: `SettingsError` when an address is neither in the environment nor in the stack file.
    package init(
        home: MillraceHome, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(SettingsError) {
        let stack = try Self.embedded(home)
        func address(_ variable: String, _ embedded: String?) throws(SettingsError) -> String {
            if let value = environment[variable], !value.isEmpty { return value }
            guard let embedded else { throw .notRunning(variable: variable, home: home.path) }
            return embedded
        }
        database = try address("DATABASE_URL", stack?.database)
        redis = try address("REDIS_URL", stack?.redis)
    }

    /// The addresses in the stack file; nil when there is no such file.
    package static func embedded(_ home: MillraceHome) throws(SettingsError) -> ServerAddresses? {
        guard let content = FileManager.default.contents(atPath: home.stackFile) else { return nil }
        guard let stack = try? JSONValue(parsing: Array(content)),
            let database = stack["database_url"]?.stringValue, let redis = stack["redis_url"]?.stringValue
        else { throw .brokenStackFile(home.stackFile) }
        return ServerAddresses(database: database, redis: redis)
    }

    package func write(to home: MillraceHome) throws {
        let text = JSONValue.object(["database_url": .string(database), "redis_url": .string(redis)]).text(.pretty)
        // The addresses hold passwords: nobody else may read them.
        let created = FileManager.default.createFile(
            atPath: home.stackFile, contents: Data((text + "\n").utf8), attributes: [.posixPermissions: 0o600])
        guard created else { throw SettingsError.notWritable(home.stackFile) }
    }
}

package enum SettingsError: Error, CustomStringConvertible {
    case notRunning(variable: String, home: String)
    case brokenStackFile(String)
    case notWritable(String)

    package var description: String {
        switch self {
        case .notRunning(let variable, let home):
            "\(variable) is not set, and no embedded stack is known in \(home): run 'jobctl up --detach' or set \(variable)"
        case .brokenStackFile(let path): "\(path) is not a stack file of Millrace: remove it and run 'jobctl up'"
        case .notWritable(let path): "\(path) can't be written"
        }
    }
}
