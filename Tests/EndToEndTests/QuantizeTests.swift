// quantize jobs as a user has them: refused at once when the name is taken, done once however often a worker dies.
import Foundation
import Glibc
import JSON
import JobModel
import PostgresClient
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct QuantizeTests {
    @Test func aModelInEightBitsSurvivesItsWorkers() async throws {
        let home = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: home) }
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        let text = String(repeating: "The mill turns as long as the race brings water. ", count: 8)
        try Data(text.utf8).write(to: URL(filePath: home + "/text"))
        try await Fleet.with { fleet in
            func refusal(_ input: String, model: String = Fleet.model) async -> String {
                do throws(PostgresError) {
                    _ = try await fleet.pool.query(
                        "INSERT INTO millrace.jobs (kind, model, input) VALUES ('quantize', $1, $2::jsonb)",
                        [model, input])
                    return "inserted"
                } catch {
                    return error.message
                }
            }
            #expect(
                await refusal(#"{"to": "int8", "name": "\#(Fleet.model)"}"#) == "input.name: is the model's own")
            _ = try await fleet.pool.query(
                """
                INSERT INTO millrace.models (name, digest, architecture, context_length, uri, bytes, parent_digest, base)
                SELECT 'taken', digest, architecture, context_length, uri, bytes, digest, name FROM millrace.models
                """)
            #expect(
                await refusal(#"{"to": "int8", "name": "taken"}"#) == "input.name: \"taken\" is registered already")
            #expect(
                await refusal(#"{"to": "int8"}"#, model: "taken")
                    == "model: \"taken\" is an adapter; only models are quantised")
            let early = try await fleet.jobctl(["model", "quantize", Fleet.model, "--to", "int8", "--name", "taken"])
            #expect(early.status == 1 && early.lines.joined().contains("registered already"), "\(early.lines)")

            let job = Task {
                try await fleet.jobctl([
                    "model", "quantize", Fleet.model, "--to", "int8", "--name", "small", "--text", home + "/text",
                    "--plot", home + "/small.svg", "--json",
                ])
            }
            // Killed while it writes, and once more, orderly, while the next one does.
            let variables = ["MILLRACE_HOME": home]
            for signal in [SIGKILL, SIGTERM] {
                let worker = try fleet.startWorker(environment: variables)
                try await eventually(within: 120, "the copy is begun") {
                    let rows = try await fleet.pool.query(
                        "SELECT (progress ->> 'done')::float8 AS done FROM millrace.partials")
                    let done = try rows.first.map { try $0.get("done", as: Double.self) } ?? 0
                    return done >= 0.3 && done < 0.9
                }
                worker.signal(signal)
                _ = await worker.wait()
                _ = try await fleet.pool.query("DELETE FROM millrace.partials")
            }
            let last = try fleet.startWorker(environment: variables)
            let ended = try await job.value
            #expect(ended.status == 0, "\(ended.lines)")
            let result = try #require(ended.values.last?["result"])
            let path = home + "/models/small.gguf"
            #expect(result["path"]?.stringValue == path)
            #expect(try FileManager.default.contentsOfDirectory(atPath: home + "/models") == ["small.gguf"])
            let (before, after) = (result["before"], result["after"])
            let loss =
                try #require(after?["perplexity"]?.doubleValue) / (try #require(before?["perplexity"]?.doubleValue))
            #expect((0.98...1.02).contains(loss))
            let drawing = try String(contentsOf: URL(filePath: home + "/small.svg"), encoding: .utf8)
            #expect(drawing.hasPrefix("<svg") && drawing.hasSuffix("</svg>\n") && drawing.contains("perplexity"))

            let models = try await fleet.jobctl(["model", "list", "--json"]).values[0].arrayValue ?? []
            let small = try #require(models.first { $0["name"] == "small" })
            #expect(small["digest"] == result["digest"] && small["parent_digest"] == result["parent_digest"])
            let answer = try await fleet.jobctl([
                "submit", "--model", "small", "--prompt", "Say hello.", "--max-tokens", "4", "--wait",
            ])
            #expect(answer.status == 0, "\(answer.lines)")
            last.signal(SIGTERM)
            #expect(await last.wait() == 0)
        }
    }
}
