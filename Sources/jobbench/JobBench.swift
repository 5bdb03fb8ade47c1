// jobbench: measures what the README claims. With --json each measured point is one line.
import ArgumentParser
import Foundation
import JSON
import LLMKernels

@main
struct JobBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobbench", abstract: "Measure Millrace on this machine.",
        subcommands: [
            LoadBench.self, PrefillBench.self, DecodeBench.self, KernelsBench.self, PrefixBench.self, ScoreBench.self,
            ConstraintBench.self, PerplexityBench.self,
            QueueBench.self, DepthBench.self, HoldBench.self,
        ])
}

struct BenchOptions: ParsableArguments {
    @Flag(help: "One JSON object per measured point.")
    var json = false

    /// Prints a point, with what every point has.
    func show(_ members: KeyValuePairs<String, JSONValue>, text: String) {
        guard json else { return print(text) }
        var all: [(String, JSONValue)] = members.map { ($0.key, $0.value) }
        all += [
            ("cpu", .string(Machine.cpu)),
            ("feature_level", .string((try? CPUFeatureLevel.active())?.rawValue ?? "none")),
            ("commit", .string(Machine.commit)), ("peak_memory_bytes", .integer(Machine.peakMemory)),
        ]
        print(JSONValue.object(.init(all, uniquingKeysWith: { first, _ in first })).text())
        fflush(nil)
    }
}

enum Machine {
    static let cpu: String = {
        let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let line = info.split(separator: "\n").first { $0.hasPrefix("model name") }
        return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
    }()

    /// The commit of the working folder; empty outside of a checkout.
    static let commit: String = {
        let head = (try? String(contentsOfFile: ".git/HEAD", encoding: .utf8))?.trimmingCharacters(in: .newlines) ?? ""
        guard head.hasPrefix("ref: ") else { return head }
        let file = ".git/" + head.dropFirst(5)
        return (try? String(contentsOfFile: file, encoding: .utf8))?.trimmingCharacters(in: .newlines) ?? ""
    }()

    /// Bytes of physical memory that the process holds now.
    static var residentMemory: Int64 {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
        return (fields.count > 1 ? Int64(fields[1]) ?? 0 : 0) * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    static var peakMemory: Int64 {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Int64(usage.ru_maxrss) * 1024
    }
}
