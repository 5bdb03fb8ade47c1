// jobctl as people and scripts call it: what it prints, and its exit codes.
import Foundation
import Glibc
import JSON
import JobModel
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct JobctlTests {
    @Test func aPausedQueueWaits() async throws {
        try await Fleet.with { fleet in
            let early = try await fleet.jobctl(["pause", "default"])
            #expect(early.status == 1 && early.lines.joined().contains("has had no job"), "\(early.lines)")
            let submit = ["submit", "--prompt", "One, two,", "--max-tokens", "2", "--json"]
            let first = try #require(try await fleet.jobctl(submit).values.first?["id"]?.intValue)
            #expect(try await fleet.jobctl(["pause", "default"]).lines == ["default is paused: 1 ready, 0 running"])
            #expect(try await fleet.jobctl(["pause", "default"]).status == 0)
            #expect(try await fleet.jobctl(["queues"]).lines.last?.contains("default (paused)") == true)
            let worker = try fleet.startWorker()
            // It looks for work as soon as it is registered, and would take the job.
            try await eventually(within: 60, "the worker is there") {
                try await fleet.jobctl(["workers", "--json"]).values[0].arrayValue?.count == 1
            }
            let second = try #require(try await fleet.jobctl(submit).values.first?["id"]?.intValue)
            #expect(try await fleet.jobctl(["wait", "\(first)", "\(second)", "--timeout", "3"]).status == 75)
            #expect(try await fleet.jobctl(["resume", "default"]).lines == ["default is open: 2 ready, 0 running"])
            #expect(try await fleet.jobctl(["wait", "\(first)", "\(second)"]).status == 0)
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    @Test func aJobsLifeByJobctl() async throws {
        try await Fleet.with { fleet in
            // Nothing is there yet.
            #expect(try await fleet.jobctl(["list"]).lines == ["No jobs."])
            #expect(try await fleet.jobctl(["workers"]).lines == ["No workers."])
            #expect(try await fleet.jobctl(["list", "--json"]).values == [[]])

            let id = try #require(
                try await fleet.jobctl(["submit", "--prompt", "One, two,", "--json"]).values.first?["id"]?.intValue)
            #expect(try await fleet.jobctl(["cancel", "\(id)", "999999"]).status == 1)
            #expect(
                try await fleet.jobctl(["status", "\(id)", "--json"]).values[0]["state"]?.stringValue == "cancelled")
            #expect(try await fleet.jobctl(["wait", "\(id)"]).status == 2)
            #expect(try await fleet.jobctl(["cancel", "\(id)"]).lines == ["\(id)  cancelled"])
            #expect(try await fleet.jobctl(["retry", "\(id)"]).lines == ["\(id)  ready"])
            let queues = try await fleet.jobctl(["queues", "--json"]).values
            #expect(queues[0].arrayValue?.first?["ready"]?.intValue == 1)

            #expect(try await fleet.jobctl(["wait", "\(id)", "--timeout", "0.1", "--json"]).status == 75)

            let worker = try fleet.startWorker()
            #expect(try await fleet.jobctl(["wait", "\(id)", "--json"]).values[0]["state"]?.stringValue == "succeeded")
            let workers = try await fleet.jobctl(["workers", "--json"]).values
            #expect(workers[0].arrayValue?.first?["pid"]?.intValue == Int(worker.id))

            let question = ["submit", "--prompt", "Say hello.", "--max-tokens", "12", "--temperature", "0"]
            let answer = try await fleet.jobctl(question + ["--wait"])
            #expect(answer.status == 0 && !answer.lines.isEmpty)
            #expect(try await fleet.jobctl(question + ["--stream"]).lines == answer.lines)
            let pieces = try await fleet.jobctl(question + ["--stream", "--json"]).values
            #expect(
                pieces.dropLast().compactMap { $0["delta"]?.stringValue }.joined()
                    == answer.lines.joined(separator: "\n"))
            #expect(pieces.last?["state"]?.stringValue == "succeeded")

            let file = NSTemporaryDirectory() + "millrace-jobs-\(UUID().uuidString.prefix(8)).jsonl"
            defer { try? FileManager.default.removeItem(atPath: file) }
            try Data("\"One\"\n\n{\"prompt\": \"Two\", \"max_tokens\": 3}\n".utf8).write(to: URL(fileURLWithPath: file))
            let bulk = try await fleet.jobctl(["submit", "--file", file, "--max-tokens", "2", "--wait", "--json"])
            #expect(bulk.status == 0)
            #expect(Set(bulk.values.map { $0["usage"]?["completion_tokens"]?.intValue }) == [2, 3])

            let choices = ["--continuation", " Paris", "--continuation", " Rome", "--continuation", " banana bread"]
            let scores = try await fleet.jobctl(
                ["submit", "score", "--prompt", "The capital of France is"] + choices + ["--wait"])
            #expect(scores.status == 0 && scores.lines.count == 3 && scores.lines[0].contains("  1 token"))
            let text = try await fleet.jobctl(["submit", "score", "--text", "A dog lay on the rug.", "--wait"])
            #expect(text.lines.count == 1 && text.lines[0].hasPrefix("perplexity "))
            let vectors = ["submit", "embed", "--text", "One", "--text", "Two", "--pooling", "last", "--wait"]
            #expect(try await fleet.jobctl(vectors).lines == ["2 vectors of 576 numbers"])
            try Data("\"One\"\n{\"input\": [\"Two\"], \"pooling\": \"mean\"}\n".utf8).write(
                to: URL(fileURLWithPath: file))
            let embedded = try await fleet.jobctl(["submit", "embed", "--file", file, "--wait", "--json"])
            #expect(embedded.values.allSatisfy { $0["result"]?["embeddings"]?.arrayValue?.count == 1 })
            #expect(embedded.status == 0 && embedded.values.count == 2)
            #expect(try await fleet.jobctl(["list", "--limit", "2", "--json"]).values[0].arrayValue?.count == 2)
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    @Test func wrongUsesAreToldPlainly() async throws {
        try await Fleet.with { fleet in
            let cases: [(arguments: [String], status: Int32, says: String)] = [
                (["status", "nonsense"], 64, "'nonsense' is invalid for '<id>'"),
                (["status", "999999"], 1, "there is no job 999999"),
                (["wait", "999999"], 1, "there is no job 999999"),
                (["list", "--limit", "0"], 64, "--limit must be 1 to 10000"),
                (["list", "--state", "tired"], 64, "succeeded"),
                (["submit"], 64, "exactly one of --prompt, --messages and --file"),
                (["submit", "--prompt", "x", "--priority", "-200"], 64, "--priority must be -100 to 100"),
                (["submit", "--prompt", "x", "--temperature", "-1"], 1, "input.temperature: must be 0 to 100"),
                (["submit", "--prompt", "x", "--model", "none"], 1, "model: \"none\" is not registered"),
                (["submit", "--messages", "[{"], 1, "--messages: line 1, column 3"),
                (["submit", "score"], 64, "exactly one of --prompt, --messages, --text, --text-file and --file"),
                (["submit", "score", "--prompt", "x"], 64, "--continuation goes with --prompt"),
                (["submit", "score", "--text", "x", "--window", "1"], 1, "input.window: must be 2 to"),
                (["submit", "score", "--text-file", "/nonexistent"], 1, "/nonexistent: can't be read"),
                (["submit", "embed"], 64, "exactly one of --text and --file"),
                (["submit", "embed", "--text", "x", "--pooling", "max"], 1, "input.pooling: must be mean or last"),
                (["submit", "--file", "/nonexistent"], 1, "/nonexistent: can't be read"),
                (["model", "show", "none"], 1, "model: \"none\" is not registered"),
                (["model", "add", "x", "/etc/passwd"], 1, "/etc/passwd: magic: not a GGUF file"),
                (["model", "fetch", "none"], 1, "known are smollm2-135m-instruct"),
            ]
            for (arguments, status, says) in cases {
                let printed = try await fleet.jobctl(arguments)
                let lines = printed.lines
                #expect(printed.status == status, "\(arguments)")
                #expect(lines.joined(separator: "\n").contains(says), "\(lines)")
                // One line, unless the usage is what was wrong.
                if status != 64 { #expect(lines.count == 1 && lines[0].hasPrefix("Error: "), "\(lines)") }
            }
        }
    }
}
