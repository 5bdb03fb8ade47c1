// A file in OpenAI's batch format through the real programs: checked, queued, answered, broken off, fetched again.
import Foundation
import JSON
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct BatchTests {
    private struct Folder: ~Copyable {
        let path = NSTemporaryDirectory() + "millrace-batch-\(UUID().uuidString.prefix(8))/"
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ name: String, _ lines: [String]) throws -> String {
            try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: path + name))
            return path + name
        }

        /// Whole lines only.
        func values(_ name: String) throws -> [JSONValue] {
            let text = String(decoding: FileManager.default.contents(atPath: path + name) ?? Data(), as: UTF8.self)
            #expect(text.isEmpty || text.hasSuffix("\n"))
            return try text.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
        }
    }

    private static func chat(_ id: String, tokens: Int = 8, more: String = "") -> String {
        #"{"custom_id": "\#(id)", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": "Say \#(id)."}], "max_tokens": \#(tokens), "temperature": 0\#(more)}}"#
    }

    @Test func aFileIsAnsweredLineForLine() async throws {
        try await Fleet.with { fleet in
            let folder = try Folder()
            let worker = try fleet.startWorker()
            let lines =
                (0..<10).map { Self.chat("chat-\($0)") } + [
                    #"{"custom_id": "text", "method": "POST", "url": "/v1/completions", "body": {"model": "smollm2-135m-instruct", "prompt": "One, two,", "max_tokens": 3, "temperature": 0}}"#,
                    #"{"custom_id": "vector", "method": "POST", "url": "/v1/embeddings", "body": {"model": "smollm2-135m-instruct", "input": "A cat."}}"#,
                    // A schema that the worker refuses: one line fails, the others don't.
                    Self.chat(
                        "bad",
                        more: #", "response_format": {"type": "json_schema", "json_schema": {"schema": {"nosuch": 1}}}"#
                    ),
                ]
            let input = try folder.write("in.jsonl", lines)
            let run = try await fleet.jobctl([
                "batch", "submit", input, "--out", folder.path + "out.jsonl", "--errors", folder.path + "err.jsonl",
                "--json",
            ])
            #expect(run.status == 2, "\(run.lines)")
            let batch = try #require(run.values.first?["batch"]?.intValue)
            let (answers, errors) = (try folder.values("out.jsonl"), try folder.values("err.jsonl"))
            #expect(answers.count == 12 && errors.compactMap { $0["custom_id"]?.stringValue } == ["bad"])
            #expect(Set(answers.compactMap { $0["custom_id"]?.stringValue }).count == 12)
            for answer in answers {
                #expect(answer["response"]?["status_code"] == 200 && answer["error"] == .null)
                let body = try #require(answer["response"]?["body"])
                switch answer["custom_id"]?.stringValue {
                case "text": #expect(body["choices"]?.arrayValue?.first?["text"]?.stringValue?.isEmpty == false)
                case "vector": #expect(body["data"]?.arrayValue?.first?["embedding"]?.arrayValue?.count == 576)
                default:
                    #expect(body["object"] == "chat.completion")
                    let choice = try #require(body["choices"]?.arrayValue?.first)
                    #expect(choice["message"]?["content"]?.stringValue?.isEmpty == false)
                    #expect(["stop", "length"].contains(choice["finish_reason"]?.stringValue))
                }
            }
            // Again, from the database.
            let again = try await fleet.jobctl([
                "batch", "fetch", "\(batch)", "--out", folder.path + "again.jsonl", "--errors",
                folder.path + "err2.jsonl",
            ])
            #expect(again.status == 2)
            func byID(_ values: [JSONValue]) -> [String: JSONValue] {
                Dictionary(uniqueKeysWithValues: values.map { ($0["custom_id"]!.stringValue!, $0) })
            }
            #expect(byID(try folder.values("again.jsonl")) == byID(answers))
            try await eventually(within: 20, "the batch has ended") {
                try await fleet.jobctl(["batch", "status", "\(batch)", "--json"]).values[0]["ended_at"]?.stringValue
                    != nil
            }
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    @Test func badLinesAreToldAndNothingIsQueued() async throws {
        try await Fleet.with { fleet in
            let folder = try Folder()
            let input = try folder.write(
                "in.jsonl", [Self.chat("a"), "{broken", Self.chat("a"), "", Self.chat("b", more: #", "n": 3"#)])
            let refused = try await fleet.jobctl(["batch", "submit", input])
            #expect(refused.status == 1)
            #expect(
                refused.lines.filter { $0.contains("in.jsonl, line") }.map {
                    $0.split(separator: "/").last.map(String.init) ?? ""
                } == [
                    "in.jsonl, line 2: column 2: a member name in quotes is expected here",
                    "in.jsonl, line 3 (a): custom_id: is that of line 1, too",
                    "in.jsonl, line 5: body.n: only 1 is supported",
                ], "\(refused.lines)")
            #expect(refused.lines.last?.contains("3 of 4 lines are bad; nothing was queued") == true)
            #expect(try await fleet.jobctl(["list"]).lines == ["No jobs."])
            // A model that is not there: the database refuses, and nothing is left.
            let unknown = try folder.write(
                "unknown.jsonl", [Self.chat("a").replacing("smollm2-135m-instruct", with: "nosuch")])
            let nothing = try await fleet.jobctl(["batch", "submit", unknown])
            #expect(nothing.status == 1 && nothing.lines.last?.contains("model: \"nosuch\" is not registered") == true)
            #expect(try await fleet.jobctl(["batch", "list"]).lines == ["No batches."])

            // The input is not an output, by whatever name.
            let good = try folder.write("good.jsonl", [Self.chat("a")])
            try FileManager.default.createSymbolicLink(atPath: folder.path + "link.jsonl", withDestinationPath: good)
            let own = try await fleet.jobctl(["batch", "submit", good, "--out", folder.path + "link.jsonl"])
            #expect(own.status == 1 && own.lines.last?.contains("is the input; it would be emptied") == true)
            #expect(try folder.values("good.jsonl").count == 1)

            let skipped = try await fleet.jobctl(["batch", "submit", input, "--skip-bad-lines", "--json"])
            #expect(skipped.values.last == ["batch": skipped.values.last?["batch"] ?? 0, "jobs": 1, "skipped": 3])
        }
    }

    /// jobctl is killed while it waits; what ended stays, a cancellation keeps it, and a later fetch has every line once.
    @Test func aBrokenWaitGoesOnAndCancelledBatchesKeepTheirAnswers() async throws {
        try await Fleet.with { fleet in
            let folder = try Folder()
            let worker = try fleet.startWorker()
            let input = try folder.write("in.jsonl", (0..<40).map { Self.chat("n\($0)", tokens: $0 < 10 ? 2 : 400) })
            let waiting = try TestProcess(
                "jobctl", ["batch", "submit", input, "--out", folder.path + "out.jsonl"], environment: fleet.environment
            )
            try await eventually(within: 60, "some lines are written") {
                (FileManager.default.contents(atPath: folder.path + "out.jsonl")?.count { $0 == 0x0A } ?? 0) >= 2
            }
            await waiting.kill()
            let batches = try await fleet.jobctl(["batch", "list", "--json"]).values[0].arrayValue ?? []
            let batch = try #require(batches.first?["batch"]?.intValue)
            #expect(try await fleet.jobctl(["batch", "cancel", "\(batch)"]).status == 0)
            let fetch = try await fleet.jobctl([
                "batch", "fetch", "\(batch)", "--out", folder.path + "out.jsonl", "--errors", folder.path + "err.jsonl",
            ])
            #expect(fetch.status == 2, "\(fetch.lines)")
            let (answers, errors) = (try folder.values("out.jsonl"), try folder.values("err.jsonl"))
            #expect(answers.count >= 2 && answers.count + errors.count == 40)
            #expect(Set((answers + errors).compactMap { $0["custom_id"]?.stringValue }).count == 40)
            #expect(errors.allSatisfy { $0["error"]?["code"] == "batch_cancelled" })
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }
}
