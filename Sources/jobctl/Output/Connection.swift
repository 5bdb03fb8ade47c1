// What commands need of the servers.
import ArgumentParser
import Foundation
import JobModel
import JobSettings
import JobStorage
import Logging
import PostgresClient
import RedisClient

extension CommonOptions {
    /// The database, for one command.
    /// - Parameter patience: seconds that an answer may take.
    func withStore<Value>(patience: Double = 60, _ body: (PostgresJobStore) async throws -> Value) async throws -> Value
    {
        let addresses = try ServerAddresses(home: home)
        let configuration = try PostgresConfiguration(url: addresses.database, applicationName: "jobctl")
            .timeouts(answer: patience)
        let pool = PostgresPool(configuration, size: 2, logger: Self.logger)
        do {
            // An absent server is told as such, before any statement is blamed.
            try await pool.connect()
            let value = try await body(PostgresJobStore(pool: pool))
            await pool.close()
            return value
        } catch {
            await pool.close()
            throw error
        }
    }

    func databaseConfiguration() throws -> PostgresConfiguration {
        try PostgresConfiguration(url: ServerAddresses(home: home).database, applicationName: "jobctl")
    }

    func redisConfiguration() throws -> RedisConfiguration {
        try RedisConfiguration(url: ServerAddresses(home: home).redis)
    }

    static let logger: Logger = {
        var logger = Logger(label: "jobctl", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = .error
        return logger
    }()
}

/// Something that a command can't do; not the fault of how it was written.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Exit codes beside 0 (done), 1 (an error) and 64 (wrong usage); the large ones are those of sysexits.h.
extension ExitCode {
    /// A job that was waited for did not succeed.
    static let jobNotSucceeded = ExitCode(2)
    /// The time that was given for waiting is over.
    static let timedOut = ExitCode(75)
    /// A server can't be reached, or no server is known: trying later may help.
    static let unavailable = ExitCode(69)
    /// A server refuses the user or the password.
    static let notPermitted = ExitCode(77)

    /// The code of an error that commands throw; nil for those that ArgumentParser knows better.
    init?(of error: any Error) {
        switch error {
        case let error as PostgresError where error.kind == .authentication: self = .notPermitted
        case let error as PostgresError where error.kind == .connection: self = .unavailable
        case RedisError.authentication: self = .notPermitted
        case RedisError.connection, StoreError.unavailable, SettingsError.notRunning: self = .unavailable
        default: return nil
        }
    }
}
