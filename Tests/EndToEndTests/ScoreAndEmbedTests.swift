// score and embed jobs by plain INSERT: answers, the same after a kill, and the same figures as jobbench.
import Foundation
import Glibc
import JSON
import JobModel
import PostgresClient
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct ScoreAndEmbedTests {
    /// 4 choices, two texts, a chat; two embeddings; two that can't be done.
    private static let jobs = """
        INSERT INTO millrace.jobs (kind, model, input, cache) SELECT kind, model, input, false FROM (VALUES
            ('score', 'smollm2-135m-instruct', jsonb '{"prompt": "The capital of France is", "continuations": [" Paris", " Rome", " banana", " Paris, a city"]}'),
            ('score', 'smollm2-135m-instruct', '{"messages": [{"role": "user", "content": "Is water wet? Yes or no?"}], "continuations": ["Yes", "No"], "logprobs": 2}'),
            ('score', 'smollm2-135m-instruct', jsonb_build_object('text', $1::text, 'window', 64)),
            ('score', 'smollm2-135m-instruct', jsonb_build_object('text', $1::text, 'window', 64, 'stride', 16)),
            ('embed', 'smollm2-135m-instruct', '{"input": ["A cat sat on the mat.", "A dog lay on the rug.", "Stock prices fell."]}'),
            ('embed', 'smollm2-135m-instruct', '{"input": "A cat sat on the mat.", "pooling": "last", "normalize": false}'),
            ('score', 'smollm2-135m-instruct', '{"text": "x", "window": 9000}'),
            ('embed', 'smollm2-135m-instruct', jsonb_build_object('input', jsonb_build_array('a', repeat('word ', 9000))))) AS job (kind, model, input)
        RETURNING id
        """

    private static let text = String(
        repeating: "The harbour lies open to the north, and in winter the swell comes in past the old breakwater. ",
        count: 12)

    private func insert(_ fleet: Fleet) async throws -> ClosedRange<JobID> {
        let rows = try await fleet.pool.query(SQL(trusted: Self.jobs), [Self.text])
        let ids = try rows.map { try $0.get("id", as: JobID.self) }
        return ids.min()!...ids.max()!
    }

    private func cosine(_ a: JSONValue, _ b: JSONValue) -> Double {
        zip(a.arrayValue ?? [], b.arrayValue ?? []).reduce(0) { $0 + ($1.0.doubleValue ?? 0) * ($1.1.doubleValue ?? 0) }
    }

    @Test func insertedJobsAreScoredAndEmbedded() async throws {
        try await Fleet.with { fleet in
            let worker = try fleet.startWorker()
            let ids = try await insert(fleet)
            try await fleet.waitForAll(ids, within: 120)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.prefix(6).allSatisfy { $0.state == .succeeded }, "\(jobs.compactMap(\.error))")
            try await fleet.waitForEvents(ids)

            let choices = try #require(jobs[0].result?["scores"]?.arrayValue)
            let logprobs = choices.compactMap { $0["logprob"]?.doubleValue }
            #expect(logprobs.count == 4 && logprobs[0] == logprobs.max() && logprobs[2] < logprobs[1])
            #expect(choices.map { $0["bytes"]?.intValue } == [6, 5, 7, 14])
            #expect(choices[0]["is_greedy"] == true && choices[2]["is_greedy"] == false)
            #expect(jobs[0].usage?["completion_tokens"] == 0)

            let chat = try #require(jobs[1].result?["scores"]?.arrayValue)
            for score in chat {
                let tokens = try #require(score["logprobs"]?.arrayValue)
                #expect(tokens.count == score["tokens"]?.intValue)
                #expect(tokens.allSatisfy { $0["top_logprobs"]?.arrayValue?.count == 2 })
                let sum = tokens.reduce(0) { $0 + ($1["logprob"]?.doubleValue ?? .nan) }
                #expect(abs(sum - (score["logprob"]?.doubleValue ?? .nan)) < 1e-6)
            }

            let (apart, overlapping) = (jobs[2].result!, jobs[3].result!)
            #expect(apart["bytes"]?.intValue == Self.text.utf8.count)
            #expect(overlapping["tokens"]!.intValue! > apart["tokens"]!.intValue!)
            #expect(overlapping["perplexity"]!.doubleValue! < apart["perplexity"]!.doubleValue!)
            try await checkBench(fleet, apart)

            let vectors = try #require(jobs[4].result?["embeddings"]?.arrayValue)
            #expect(vectors.count == 3 && vectors.allSatisfy { $0.arrayValue?.count == 576 })
            #expect(vectors.allSatisfy { abs(cosine($0, $0) - 1) < 1e-5 })
            #expect(cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]))
            let last = try #require(jobs[5].result?["embeddings"]?.arrayValue?.first)
            #expect(cosine(last, last) > 1.5)

            #expect(jobs.suffix(2).map(\.state) == [.failed, .failed])
            #expect(jobs[6].error?["field"]?.stringValue == "input.window")
            #expect(jobs[7].error?["field"]?.stringValue == "input.input[1]")
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }

    /// The same windows by another way.
    private func checkBench(_ fleet: Fleet, _ result: JSONValue) async throws {
        let folder = NSTemporaryDirectory() + "millrace-score-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data(Self.text.utf8).write(to: URL(fileURLWithPath: folder + "/text"))
        let model = try requiredVariable("MILLRACE_MODELS") + "/\(Fleet.model).gguf"
        let status = try await TestProcess(
            "jobbench",
            [
                "perplexity", "--model", model, "--text", folder + "/text", "--window", "64", "--tokens", "100000",
                "--threads", "1", "--json",
            ], log: folder + "/log"
        ).wait()
        #expect(status == 0)
        let point = try JSONValue(parsing: Array(FileManager.default.contents(atPath: folder + "/log") ?? Data()))
        #expect(point["tokens"]?.intValue == result["tokens"]?.intValue)
        let (a, b) = (point["perplexity"]?.doubleValue ?? .nan, result["perplexity"]?.doubleValue ?? 0)
        #expect(abs(a - b) < 1e-5 * b, "\(a), \(b)")
    }

    @Test func killedAndInCompanyTheResultsAreTheSame() async throws {
        try await Fleet.with { fleet in
            let first = try fleet.startWorker()
            let ids = try await insert(fleet)
            try await fleet.waitForAll(ids, within: 120)
            let expected = try await fleet.jobs(ids).map(\.result)

            // Now among generations, on a worker that is killed.
            first.signal(SIGTERM)
            #expect(await first.wait() == 0)
            let victim = try fleet.startWorker()
            let company = try await fleet.insert(40, tokens: 30)
            let again = try await insert(fleet)
            try await fleet.waitForRunningJobs(1, of: victim.id)
            await victim.kill()
            let survivor = try fleet.startWorker()
            try await fleet.waitForAll(company, within: 180)
            try await fleet.waitForAll(again, within: 120)
            #expect(try await fleet.jobs(again).map(\.result) == expected)
            survivor.signal(SIGTERM)
            #expect(await survivor.wait() == 0)
        }
    }
}
