// Jobs of all kinds from lease to outcome, with SmolLM2 in memory.
import Foundation
import JSON
import JobModel
import JobStorage
import JobWorker
import LLMKernels
import LLMModels
import Logging
import Synchronization
import TestSupport
import Testing

@testable import JobHandlers

@Suite(.serialized, .timeLimit(.minutes(5))) struct InferenceHandlerTests {
    private struct NoProgress: ProgressSink {
        func report(_ progress: JSONValue) {}
        func append(_ chunk: StreamChunk, modelDigest: String) {}
    }

    private static let name = "smollm2-135m-instruct"

    private func withHandler(
        sequences: Int = 8, cacheTokens: Int = 4096, cachePrecision: KVPrecision = .float16,
        adapters: @escaping @Sendable () -> [RegisteredModel] = { [] },
        _ body: (InferenceHandler) async throws -> Void
    ) async throws {
        let folder = try #require(ProcessInfo.processInfo.environment["MILLRACE_MODELS"])
        let registered = RegisteredModel(
            name: Self.name, digest: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            architecture: "llama", contextLength: 8192, uri: "\(folder)/\(Self.name).gguf", bytes: 98_362_432)
        var limits = ServingLimits(threads: 2, sequences: sequences, cacheTokens: cacheTokens)
        limits.cachePrecision = cachePrecision
        let models = ServedModels(limits: limits, logger: Logger(label: "test")) { name in
            ([registered] + adapters()).first { $0.name == name }
        }
        let handler = InferenceHandler(models: models, limits: limits) { [registered] + adapters() }
        try await body(handler)
        await handler.shutDown()
    }

    private func lease(_ kind: JobKind, _ input: JSONValue, model: String = name) -> Lease {
        Lease(
            id: 1, runToken: 1, kind: kind, model: model, input: input, queue: "default", priority: 0, attempt: 1,
            maximumAttempts: 5, tenant: "", createdAt: 0)
    }

    private func run(
        _ handler: InferenceHandler, _ kind: JobKind, _ input: JSONValue, model: String = name
    ) async -> Outcome {
        let lease = lease(kind, input, model: model)
        handler.willRun(lease)
        return await handler.run(lease, progress: NoProgress())
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

    @Test func usageTellsWhatWasComputedWith() async throws {
        let level = try CPUFeatureLevel.active().rawValue
        try await withHandler { handler in
            let jobs: [(JobKind, JSONValue, JSONValue?)] = [
                (.generate, ["prompt": "One,", "raw": true, "max_tokens": 2, "seed": -7], -7),
                (.generate, ["prompt": "One,", "raw": true, "max_tokens": 2], 0),
                (.score, ["prompt": "One,", "continuations": [" two"]], nil), (.embed, ["input": "One"], nil),
            ]
            for (kind, input, seed) in jobs {
                guard case .succeeded(let result, let usage) = await run(handler, kind, input) else {
                    Issue.record("\(kind) did not succeed")
                    continue
                }
                let provenance = try #require(usage?["provenance"])
                #expect(provenance["model"] == result["model_digest"] && provenance["adapter"] == nil)
                #expect(provenance["cpu"]?.stringValue == level && provenance["threads"] == 2)
                #expect(provenance["seed"] == seed)
                #expect(provenance["build"]?.stringValue?.wholeMatch(of: /[0-9a-f]{12}/) != nil)
                #expect(result["provenance"] == nil)
            }
        }
    }

    /// Jobs name adapters like models. They share the base's engine, whatever else it does; one that is registered anew is
    /// used by the next job.
    @Test func adaptersAreNamedLikeModels() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let base = try openModel(requiredVariable("MILLRACE_MODELS") + "/\(Self.name).gguf")
        let parent = try base.digest
        func adapter(_ name: String, seed: UInt64) throws -> RegisteredModel {
            let path = "\(folder)/\(name)-\(seed)"
            try TestAdapter.write(to: path, seed: seed)
            let source = try openAdapter(path, base: base)
            return RegisteredModel(
                name: name, digest: source.digest, architecture: "llama", contextLength: 8192, uri: path,
                bytes: source.bytes, parentDigest: parent, base: Self.name)
        }
        let registry = Mutex(try [adapter("one", seed: 1), adapter("two", seed: 2)])
        let digests = registry.withLock { $0.map(\.digest) }
        let input: JSONValue = ["prompt": "One, two,", "raw": true, "max_tokens": 12]
        try await withHandler(adapters: { registry.withLock { $0 } }) { handler in
            #expect(await handler.demand().models == [Self.name, "one", "two"])
            let names = [Self.name, "one", "two"]
            var alone: [JSONValue] = []
            for name in names { alone.append(try result(await run(handler, .generate, input, model: name))) }
            #expect(Set(alone.map { $0["text"] }).count == 3)
            #expect(alone.map { $0["model_digest"] } == [.string(parent)] + digests.map { .string("\(parent)+\($0)") })
            let together = try await withThrowingTaskGroup(of: (Int, JSONValue).self) { group in
                for index in 0..<12 {
                    group.addTask { (index, try result(await run(handler, .generate, input, model: names[index % 3]))) }
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            for index in 0..<12 { #expect(together[index] == alone[index % 3]) }
            let others: [(JobKind, JSONValue)] = [
                ("score", ["text": "The mill stands."]), ("embed", ["input": "The mill"]),
            ]
            for (kind, input) in others {
                let plain = try result(await run(handler, kind, input))
                #expect(try result(await run(handler, kind, input, model: "one")) != plain)
            }

            // The name stands for other bytes from now on.
            let newer = try adapter("one", seed: 3)
            registry.withLock { $0[0] = newer }
            let changed = try result(await run(handler, .generate, input, model: "one"))
            #expect(
                changed["model_digest"] == .string("\(parent)+\(newer.digest)") && changed["text"] != alone[1]["text"])

            // Other bytes than the registered ones, other bytes of the base, a folder that is not there, no such name.
            try TestAdapter.write(to: newer.uri, seed: 4)
            registry.withLock {
                $0[1] = RegisteredModel(
                    name: "two", digest: digests[1], architecture: "llama", contextLength: 8192, uri: newer.uri,
                    bytes: 1,
                    parentDigest: String(repeating: "0", count: 64), base: Self.name)
            }
            guard case .failed(let stale) = await run(handler, .generate, input, model: "two") else {
                Issue.record("an adapter of another base ran")
                return
            }
            #expect(stale.code == "invalid_model" && stale.message.contains("registered for other bytes"), "\(stale)")
            registry.withLock {
                $0[1].parentDigest = parent
                $0[1].digest = String(repeating: "1", count: 64)
            }
            guard case .failed(let wrong) = await run(handler, .generate, input, model: "two") else {
                Issue.record("other bytes than the registered ones ran")
                return
            }
            #expect(wrong.code == "invalid_model" && wrong.message.contains("SHA-256"), "\(wrong)")
            registry.withLock { $0[1].uri = folder + "/none" }
            guard case .retry(let absent, _) = await run(handler, .generate, input, model: "two") else {
                Issue.record("an absent adapter ran")
                return
            }
            #expect(absent.code == "model_unavailable")
            guard case .failed(let unknown) = await run(handler, .generate, input, model: "three") else {
                Issue.record("an unknown name ran")
                return
            }
            #expect(unknown.code == "unknown_model")
        }
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
            let affinity = Affinity(busyModels: [], idleModels: [Self.name], places: 2)
            #expect(await handler.demand() == Demand(jobs: 8, models: [Self.name], affinity: affinity))
        }
    }

    /// Slots are the worker's, over all kinds; a job with many requests takes more of them while it runs.
    @Test func jobsOfAllKindsShareTheSlots() async throws {
        try await withHandler(sequences: 4) { handler in
            #expect(handler.kinds == [.embed, .generate, .score])
            #expect(await handler.demand().jobs == 4)
            handler.willRun(lease(.generate, [:]))
            handler.willRun(lease(.generate, [:]))
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
