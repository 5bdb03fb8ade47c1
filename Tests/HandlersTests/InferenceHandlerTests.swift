// Jobs of all kinds from lease to outcome, with SmolLM2 in memory.
import Foundation
import JSON
import JobModel
import JobStorage
import JobWorker
import LLMKernels
import Logging
import Testing

@testable import JobHandlers

@Suite(.serialized, .timeLimit(.minutes(5))) struct InferenceHandlerTests {
    private struct NoProgress: ProgressSink {
        func report(_ progress: JSONValue) {}
    }

    private static let name = "smollm2-135m-instruct"

    private func withHandler(
        sequences: Int = 8, cacheTokens: Int = 4096, cachePrecision: KVPrecision = .float16,
        _ body: (InferenceHandler) async throws -> Void
    ) async throws {
        let folder = try #require(ProcessInfo.processInfo.environment["MILLRACE_MODELS"])
        let registered = RegisteredModel(
            name: Self.name, digest: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            architecture: "llama", contextLength: 8192, uri: "\(folder)/\(Self.name).gguf", bytes: 98_362_432)
        var limits = ServingLimits(threads: 2, sequences: sequences, cacheTokens: cacheTokens)
        limits.cachePrecision = cachePrecision
        let models = ServedModels(limits: limits, logger: Logger(label: "test")) { _ in registered }
        let handler = InferenceHandler(models: models, limits: limits) { [Self.name] }
        try await body(handler)
        await handler.shutDown()
    }

    private func lease(_ kind: JobKind, _ input: JSONValue) -> Lease {
        Lease(
            id: 1, runToken: 1, kind: kind, model: Self.name, input: input, queue: "default", priority: 0, attempt: 1,
            maximumAttempts: 5, tenant: "", createdAt: 0)
    }

    private func run(_ handler: InferenceHandler, _ kind: JobKind, _ input: JSONValue) async -> Outcome {
        handler.willRun()
        return await handler.run(lease(kind, input), progress: NoProgress())
    }

    private func result(_ outcome: Outcome) throws -> JSONValue {
        guard case .succeeded(let result, _) = outcome else {
            throw InputError(field: "outcome", reason: "\(outcome)")
        }
        return result
    }

    /// Such answers may differ, so a job that was begun with the other precision begins anew.
    @Test func resultsTellOfACacheOfBytes() async throws {
        let input: JSONValue = ["prompt": "One, two,", "raw": true, "max_tokens": 8]
        var digests: [String?] = []
        for precision in [KVPrecision.float16, .int8] {
            try await withHandler(cachePrecision: precision) { handler in
                digests.append(try result(await run(handler, .generate, input))["model_digest"]?.stringValue)
            }
        }
        let file = try #require(digests[0])
        #expect(file.count == 64 && digests[1] == file + "+int8-cache")
    }

    @Test func resultsDoNotDependOnCompany() async throws {
        let text = String(repeating: "A survey of 1874 shows a pier of timber and three wells. ", count: 20)
        let jobs: [(JobKind, JSONValue)] = [
            ("score", ["prompt": .string(text), "continuations": ["Yes", "No", " And then", " Nobody knows"]]),
            ("score", ["text": .string(text), "window": 50, "logprobs": true]),
            ("score", ["text": .string(text), "window": 50, "stride": 20]),
            ("score", ["prompt": "", "continuations": .array((0..<40).map { .string(" \($0)") })]),
            ("embed", ["input": .array((0..<40).map { .string("Number \($0) of " + text.prefix(200)) })]),
            ("embed", ["input": .string(text), "pooling": "last"]),
            ("generate", ["prompt": "One, two,", "raw": true, "max_tokens": 24]),
        ]
        let alone = try await withResults { handler in
            var results: [JSONValue] = []
            for (kind, input) in jobs { results.append(try result(await run(handler, kind, input))) }
            return results
        }
        let together = try await withResults { handler in
            try await withThrowingTaskGroup(of: (Int, JSONValue).self) { group in
                for (index, (kind, input)) in jobs.enumerated() {
                    group.addTask { (index, try result(await run(handler, kind, input))) }
                }
                var results: [JSONValue] = Array(repeating: .null, count: jobs.count)
                for try await (index, result) in group { results[index] = result }
                return results
            }
        }
        #expect(together == alone)
        #expect(alone[3]["scores"]?.arrayValue?.count == 40 && alone[4]["embeddings"]?.arrayValue?.count == 40)
        // The same text by the same windows, with and without its tokens' list.
        let sum = alone[1]["logprobs"]?.arrayValue?.reduce(0) { $0 + ($1["logprob"]?.doubleValue ?? .nan) }
        #expect(sum == alone[1]["logprob"]?.doubleValue)
    }

    private func withResults(
        _ body: (InferenceHandler) async throws -> [JSONValue]
    ) async throws -> [JSONValue] {
        var results: [JSONValue] = []
        try await withHandler { results = try await body($0) }
        return results
    }

    @Test func whatCannotBeDoneSaysWhichField() async throws {
        let long = String(repeating: "word ", count: 9000)
        let cases: [(JobKind, JSONValue, code: String, field: String)] = [
            ("score", ["prompt": .string(long), "continuations": ["a"]], "invalid_input", "input.continuations[0]"),
            ("score", ["text": "x", "window": 9000], "invalid_input", "input.window"),
            ("score", ["text": "x"], "invalid_input", "input.text"),
            ("score", ["text": .string(long), "window": 6000], "too_long", "input.text"),
            ("score", ["messages": [["content": "x"]], "continuations": ["a"]], "invalid_input", "input.messages"),
            ("embed", ["input": ["a", .string(long)]], "invalid_input", "input.input[1]"),
            ("embed", ["input": .string(String(long.prefix(30000)))], "too_long", "input.input"),
            ("generate", ["prompt": "x", "max_tokens": 6000], "too_long", "input.max_tokens"),
            ("sweep", [:], "unknown_kind", "kind"),
        ]
        try await withHandler { handler in
            for (kind, input, code, field) in cases {
                let outcome = await run(handler, kind, input)
                guard case .failed(let failure) = outcome else {
                    Issue.record("\(kind), \(field): \(outcome)")
                    continue
                }
                #expect(failure.code == code && failure.message.hasPrefix(field), "\(failure)")
            }
            #expect(await handler.demand() == Demand(jobs: 8, models: [Self.name]))
        }
    }

    /// Slots are the worker's, over all kinds; a job with many requests takes more of them while it runs.
    @Test func jobsOfAllKindsShareTheSlots() async throws {
        try await withHandler(sequences: 4) { handler in
            #expect(handler.kinds == [.embed, .generate, .score])
            #expect(await handler.demand().jobs == 4)
            handler.willRun()
            handler.willRun()
            #expect(await handler.demand().jobs == 2)
            let job = Task {
                await handler.run(
                    lease(.score, ["text": .string(String(repeating: "word ", count: 4000)), "window": 100]),
                    progress: NoProgress())
            }
            while await handler.demand().jobs > 0 { await Task.yield() }
            job.cancel()
            #expect(await job.value == .cancelled(result: nil, usage: nil))
            #expect(await handler.demand().jobs == 3)
        }
    }
}
