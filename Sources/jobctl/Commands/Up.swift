// up, down, env: the embedded stack.
import ArgumentParser
import Dispatch
import Glibc
import JSON
import JobSettings
import JobStorage
import PostgresClient

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a private PostgreSQL and Redis in MILLRACE_HOME.",
        discussion: "Without --detach the servers run until Ctrl-C. Data stays between runs."
    )

    @Flag(help: "Return when the servers are up, and leave them running.")
    var detach = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let stack = EmbeddedStack(home: common.home)
        let addresses = try stack.start(common.say)
        _ = try await Migrator(PostgresConfiguration(url: addresses.database, applicationName: "jobctl")).up()
        common.show(
            ["database_url": .string(addresses.database), "redis_url": .string(addresses.redis)],
            text: "Millrace's servers are up. Addresses: jobctl env DATABASE_URL, jobctl env REDIS_URL")
        if detach { return }
        await Self.interruption()
        try stack.stop(common.say)
    }

    /// Returns at Ctrl-C or SIGTERM.
    private static func interruption() async {
        let (signals, continuation) = AsyncStream.makeStream(of: Void.self)
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield() }
            source.resume()
            return source
        }
        for await _ in signals { break }
        withExtendedLifetime(sources) {}
    }
}

struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Stop the servers that 'up' started; data stays.")
    @OptionGroup var common: CommonOptions

    func run() throws {
        try EmbeddedStack(home: common.home).stop(common.say)
        common.show(["stopped": true], text: "Millrace's servers are down.")
    }
}

struct Env: ParsableCommand {
    enum Variable: String, ExpressibleByArgument, CaseIterable { case DATABASE_URL, REDIS_URL }

    static let configuration = CommandConfiguration(
        abstract: "Print an address, fit for psql and 'redis-cli -u'; both as shell assignments without a name.")

    @Argument(help: "DATABASE_URL or REDIS_URL.")
    var variable: Variable?
    @OptionGroup var common: CommonOptions

    func run() throws {
        let addresses = try ServerAddresses(home: common.home)
        let values: [Variable: String] = [.DATABASE_URL: addresses.database, .REDIS_URL: addresses.redis]
        if let variable {
            let value = values[variable] ?? ""
            common.show([variable.rawValue: .string(value)], text: value)
        } else {
            common.show(
                ["DATABASE_URL": .string(addresses.database), "REDIS_URL": .string(addresses.redis)],
                text: Variable.allCases.map { "export \($0.rawValue)='\(values[$0] ?? "")'" }.joined(separator: "\n"))
        }
    }
}
