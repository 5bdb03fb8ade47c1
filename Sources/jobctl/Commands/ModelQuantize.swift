// model quantize: a quantize job, waited for, with what it brought as a table and as a picture.
import ArgumentParser
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import OrderedCollections

struct ModelQuantize: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize", abstract: "Make a registered GGUF model smaller, under a new name.",
        discussion: """
            A worker writes the new file, registers it, and measures both: size, tokens per second, and with --text the \
            perplexity of that text.
            """)
    @Argument(help: "A registered model.")
    var model: String
    @Option(help: "f16, int8 or int4.")
    var to: String
    @Option(help: "The new model's name (default: NAME-TO).")
    var name: String?
    @Option(help: "UTF-8 text whose perplexity is measured before and after; its first 8192 tokens count.")
    var text: String?
    @Option(help: "File for an SVG with size, perplexity and speed.")
    var plot: String?
    @OptionGroup var common: CommonOptions

    func run() async throws {
        var input: OrderedDictionary<String, JSONValue> = ["to": .string(to)]
        if let name { input["name"] = .string(name) }
        if let text {
            guard let content = FileManager.default.contents(atPath: text),
                let content = String(validating: content, as: UTF8.self)
            else { throw CommandError("\(text): can't be read as UTF-8") }
            input["text"] = .string(content)
        }
        let job = NewJob(kind: .quantize, model: model, input: .object(input))
        let ended = try await common.withStore { store in
            let id = try await store.enqueue([job])[0]
            common.say("job \(id) is queued")
            try await wait(for: id, store)
            return try await store.job(id)
        }
        guard ended.state == .succeeded, let result = ended.result else {
            common.show(ended.json, text: ended.answer)
            throw ExitCode.jobNotSucceeded
        }
        let report = QuantizeReport(result)
        if let plot { try report.drawing.write(toFile: plot, atomically: true, encoding: .utf8) }
        common.show(ended.json, text: report.text)
    }

    /// Until the job has ended, with a bar on a terminal.
    private func wait(for id: JobID, _ store: PostgresJobStore) async throws {
        let bar = !common.json && isatty(STDERR_FILENO) == 1 ? ProgressBar(total: 100) : nil
        defer { bar?.end() }
        let drawing = Task {
            while let bar {
                let done = try await store.progress(of: id)?["done"]?.doubleValue ?? 0
                bar.draw(Int(done * 100), failed: 0)
                try await Task.sleep(for: .milliseconds(250))
            }
        }
        defer { drawing.cancel() }
        let waiter = JobWaiter(store: store, redis: try common.redisConfiguration(), deadline: nil, say: common.say)
        try await waiter.wait(for: [id]) { _, _ in }
    }
}

/// The result of a quantize job.
struct QuantizeReport {
    private let result: JSONValue

    init(_ result: JSONValue) { self.result = result }

    private struct Measure {
        let name: String
        let before: Double
        let after: Double
        let digits: Int

        func text(_ number: Double) -> String { String(format: "%.\(digits)f", number) }
        var change: String { before == 0 ? "" : String(format: "%+.1f %%", (after / before - 1) * 100) }
    }

    private var measures: [Measure] {
        [
            ("MB", "bytes", 1e-6, 1), ("bits per weight", "bits_per_weight", 1, 2), ("perplexity", "perplexity", 1, 4),
            ("tokens per second", "tokens_per_second", 1, 1),
        ].compactMap { name, key, unit, digits in
            guard let before = result["before"]?[key]?.doubleValue, let after = result["after"]?[key]?.doubleValue
            else { return nil }
            return Measure(name: name, before: before * unit, after: after * unit, digits: digits)
        }
    }

    private func string(_ key: String) -> String { result[key]?.stringValue ?? "" }

    var text: String {
        var table = TextTable(header: ["", string("parent"), string("name"), "CHANGE"])
        for measure in measures {
            table.rows.append(
                [measure.name, measure.text(measure.before), measure.text(measure.after), measure.change])
        }
        return table.text(orElse: "") + "\n\(string("name")) is registered: \(string("path")), SHA-256 "
            + string("digest")
    }

    /// Two bars for each measure, each pair on a scale of its own.
    var drawing: String {
        let (left, width, row, bar) = (150, 380, 64, 22)
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(left + width + 110)\" "
                + "height=\"\(50 + row * measures.count)\" font-family=\"sans-serif\" font-size=\"13\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
            label(12, 26, "\(string("parent")) and \(string("name"))", "font-weight=\"bold\""),
        ]
        for (index, measure) in measures.enumerated() {
            let top = 44 + index * row
            let most = max(measure.before, measure.after)
            lines.append(label(left - 10, top + bar + 5, measure.name, "text-anchor=\"end\""))
            for (place, value) in [measure.before, measure.after].enumerated() {
                let length = most > 0 ? Int(Double(width) * value / most) : 0
                let y = top + place * (bar + 2)
                lines.append(
                    "<rect x=\"\(left)\" y=\"\(y)\" width=\"\(length)\" height=\"\(bar)\" "
                        + "fill=\"\(place == 0 ? "#9aa7b5" : "#1f77b4")\"/>")
                lines.append(label(left + length + 6, y + 16, measure.text(value), ""))
            }
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private func label(_ x: Int, _ y: Int, _ text: String, _ style: String) -> String {
        let plain = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
        return "<text x=\"\(x)\" y=\"\(y)\" \(style)>\(plain)</text>"
    }
}
