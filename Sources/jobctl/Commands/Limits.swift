// limit: how many jobs may run at a time.
import ArgumentParser
import JSON
import JobStorage

struct Limit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Limit how many jobs run at a time.",
        discussion: """
            Of a queue, of a tenant, or with a limit key ('jobctl submit … --limit-key'), over all workers. The limit is \
            exact: no more run at any moment. Jobs beyond it wait, and others go before them.
            """,
        subcommands: [LimitSet.self, LimitRemove.self, LimitList.self], defaultSubcommand: LimitList.self)
}

extension RunLimit.Scope: ExpressibleByArgument {}

struct LimitSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set a limit. Jobs that run already count, and go on.")
    @Argument(help: "What the name is of.")
    var scope: RunLimit.Scope
    @Argument(help: "Queue, tenant or limit key.")
    var name: String
    @Argument(help: "Jobs at a time; 0 lets none run.")
    var running: Int
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let limit = RunLimit(scope, name, running: running)
        try await common.withStore { try await $0.setLimit(limit) }
        common.show(limit.json, text: "\(scope.rawValue) \(name): \(running) at a time")
    }
}

struct LimitRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a limit: as many run as workers take.")
    @Argument(help: "What the name is of.")
    var scope: RunLimit.Scope
    @Argument(help: "Queue, tenant or limit key.")
    var name: String
    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard try await common.withStore({ try await $0.removeLimit(scope, name) }) else {
            throw CommandError("name: \(scope.rawValue) \"\(name)\" has no limit ('jobctl limit' lists those that are)")
        }
        common.show(
            ["scope": .string(scope.rawValue), "name": .string(name)], text: "\(scope.rawValue) \(name): no limit")
    }
}

struct LimitList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List limits and what runs under them.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let limits = try await common.withStore { try await $0.limits() }
        var table = TextTable(header: ["SCOPE", "NAME", "RUNNING", "LIMIT"])
        for summary in limits {
            let limit = summary.limit
            table.rows.append([limit.scope.rawValue, limit.name, "\(summary.used)", "\(limit.running)"])
        }
        let values = limits.map { summary in
            var members = summary.limit.json.objectValue ?? [:]
            members["used"] = .integer(Int64(summary.used))
            return JSONValue.object(members)
        }
        common.show(.array(values), text: table.text(orElse: "No limits."))
    }
}

extension RunLimit {
    fileprivate var json: JSONValue {
        ["scope": .string(scope.rawValue), "name": .string(name), "running": .integer(Int64(running))]
    }
}
