// rate: how fast jobs may begin.
import ArgumentParser
import JSON
import JobStorage

struct Rate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Limit how many jobs or tokens begin in a second.",
        discussion: """
            Of a queue, of a tenant, or with a limit key, over all workers. A job takes from the bucket what it is estimated to \
            cost when it begins (a quarter of the bytes of its input and max_tokens), and is settled at the tokens that it used \
            when it ends; an attempt that was lost or handed back costs nothing. Jobs that the bucket does not suffice for \
            wait, and others go before them.
            """,
        subcommands: [RateSet.self, RateRemove.self, RateList.self], defaultSubcommand: RateList.self)
}

extension JobRate.Unit: ExpressibleByArgument {}

struct RateSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Set a rate. A new bucket is full.")
    @Argument(help: "What the name is of.")
    var scope: RunLimit.Scope
    @Argument(help: "Queue, tenant or limit key.")
    var name: String
    @Argument(help: "What is counted.")
    var unit: JobRate.Unit
    @Argument(help: "So many flow into the bucket in a second.")
    var perSecond: Double
    @Option(
        help: "What the bucket holds (default: what flows in ten seconds). A job that costs more goes when it is full.")
    var burst: Double?
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let rate = JobRate(scope, name, unit, perSecond: perSecond, burst: burst ?? max(1, 10 * perSecond))
        try await common.withStore { try await $0.setRate(rate) }
        common.show(
            rate.json, text: "\(scope.rawValue) \(name): \(perSecond) \(unit.rawValue) a second, \(rate.burst) at once")
    }
}

struct RateRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a rate: jobs begin as fast as workers take them.")
    @Argument(help: "What the name is of.")
    var scope: RunLimit.Scope
    @Argument(help: "Queue, tenant or limit key.")
    var name: String
    @Argument(help: "What is counted.")
    var unit: JobRate.Unit
    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard try await common.withStore({ try await $0.removeRate(scope, name, unit) }) else {
            throw CommandError(
                "name: \(scope.rawValue) \"\(name)\" has no rate in \(unit.rawValue) ('jobctl rate' lists those that are)"
            )
        }
        common.show(
            ["scope": .string(scope.rawValue), "name": .string(name), "unit": .string(unit.rawValue)],
            text: "\(scope.rawValue) \(name): no rate in \(unit.rawValue)")
    }
}

struct RateList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List rates and what is in their buckets.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let rates = try await common.withStore { try await $0.rates() }
        var table = TextTable(header: ["SCOPE", "NAME", "UNIT", "PER SECOND", "BURST", "LEVEL"])
        for summary in rates {
            let rate = summary.rate
            table.rows.append([
                rate.scope.rawValue, rate.name, rate.unit.rawValue, "\(rate.perSecond)", "\(rate.burst)",
                "\(summary.level.rounded(.down))",
            ])
        }
        let values = rates.map { summary in
            var members = summary.rate.json.objectValue ?? [:]
            members["level"] = .number(summary.level)
            return JSONValue.object(members)
        }
        common.show(.array(values), text: table.text(orElse: "No rates."))
    }
}

extension JobRate {
    fileprivate var json: JSONValue {
        [
            "scope": .string(scope.rawValue), "name": .string(name), "unit": .string(unit.rawValue),
            "per_second": .number(perSecond), "burst": .number(burst),
        ]
    }
}
