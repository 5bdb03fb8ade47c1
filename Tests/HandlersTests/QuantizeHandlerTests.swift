// quantize jobs from lease to outcome, on SmolLM2.
import Foundation
import JSON
import JobModel
import JobStorage
import JobWorker
import LLMModels
import Synchronization
import Testing

@testable import JobHandlers

@Suite(.serialized, .timeLimit(.minutes(5))) struct QuantizeHandlerTests {
    private static let name = "smollm2-135m-instruct"
    private static let digest = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

    private final class Registry: QuantizeStore {
        let models = Mutex<[String: RegisteredModel]>([:])

        init() throws {
            let folder = try #require(ProcessInfo.processInfo.environment["MILLRACE_MODELS"])
            models.withLock {
                $0[QuantizeHandlerTests.name] = RegisteredModel(
                    name: QuantizeHandlerTests.name, digest: QuantizeHandlerTests.digest, architecture: "llama",
                    contextLength: 8192, uri: "\(folder)/\(QuantizeHandlerTests.name).gguf", bytes: 98_362_432)
            }
        }

        func model(_ name: String) async throws(StoreError) -> RegisteredModel? { models.withLock { $0[name] } }

        func registerNew(_ model: RegisteredModel) async throws(StoreError) -> Bool {
            models.withLock { models in
                if let old = models[model.name], old.digest != model.digest { return false }
                models[model.name] = model
                return true
            }
        }
    }

    private final class Shares: ProgressSink {
        let all = Mutex<[Double]>([])
        func report(_ progress: JSONValue) { all.withLock { $0.append(progress["done"]?.doubleValue ?? -1) } }
        func append(_ chunk: StreamChunk, modelDigest: String) {}
    }

    private func lease(_ input: JSONValue) -> Lease {
        Lease(
            id: 7, runToken: 9, kind: .quantize, model: Self.name, input: input, queue: "default", priority: 0,
            attempt: 1, maximumAttempts: 5, tenant: "", createdAt: 0)
    }

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    @Test func writesMeasuresAndRegisters() async throws {
        try await withFolder { folder in
            let registry = try Registry(), shares = Shares()
            let handler = QuantizeHandler(folder: folder, threads: 2, store: registry) { [Self.name] }
            #expect(await handler.demand() == Demand(jobs: 1, models: [Self.name]))
            let text = String(repeating: "The mill turns as long as the race brings water. ", count: 12)
            // What a killed attempt of the same job left.
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data([1]).write(to: URL(filePath: "\(folder)/.\(Self.name)-int8.7-3.gguf"))
            handler.willRun(lease(["to": "int8"]))
            #expect(await handler.demand().jobs == 0)
            let outcome = await handler.run(lease(["to": "int8", "text": .string(text)]), progress: shares)
            guard case .succeeded(let result, _) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(await handler.demand().jobs == 1)
            let made = try #require(try await registry.model(Self.name + "-int8"))
            #expect(made.uri == "\(folder)/\(Self.name)-int8.gguf" && made.contextLength == 8192)
            #expect(result["digest"] == .string(made.digest) && result["parent_digest"] == .string(Self.digest))
            #expect(made.parentDigest == Self.digest)
            #expect(try ModelDigest.ofFile(MappedFile(made.uri)) == made.digest)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["\(Self.name)-int8.gguf"])
            let before = try #require(result["before"]?["perplexity"]?.doubleValue)
            let after = try #require(result["after"]?["perplexity"]?.doubleValue)
            // Every weight of this file has four or eight bits, so eight hold them all but exactly.
            #expect(abs(after / before - 1) < 0.02)
            #expect(result["after"]?["bits_per_weight"]?.doubleValue ?? 0 > 8.4)
            #expect(result["before"]?["tokens_per_second"]?.doubleValue ?? 0 > 0)
            let reported = shares.all.withLock { $0 }
            #expect(reported == reported.sorted() && reported.last == 1)

            // Another attempt finds its own file; another job finds the name taken.
            handler.willRun(lease(["to": "int8"]))
            guard case .succeeded(let again, _) = await handler.run(lease(["to": "int8"]), progress: shares) else {
                Issue.record("the second attempt did not succeed")
                return
            }
            #expect(again["digest"] == result["digest"])
            handler.willRun(lease(["to": "int8"]))
            let taken = await handler.run(lease(["to": "f16", "name": .string(made.name)]), progress: shares)
            guard case .failed(let failure) = taken else {
                Issue.record("\(taken)")
                return
            }
            #expect(failure.field == "input.name" && failure.message.contains("registered for another file"))
            #expect(try ModelDigest.ofFile(MappedFile(made.uri)) == made.digest)
        }
    }

    @Test func cancelledJobsLeaveNothing() async throws {
        try await withFolder { folder in
            let handler = QuantizeHandler(folder: folder, threads: 2, store: try Registry()) { [Self.name] }
            handler.willRun(lease(["to": "int8"]))
            let task = Task { await handler.run(lease(["to": "int8"]), progress: Shares()) }
            task.cancel()
            #expect(await task.value == .cancelled(result: nil, usage: nil))
            let left = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            #expect(left == [])
        }
    }

    @Test(arguments: [
        (#"{"name": "x"}"#, "input.to: missing"), (#"{"to": "int3"}"#, "input.to: must be f16, int8 or int4"),
        (#"{"to": "int4", "name": "../x"}"#, "input.name: must be"),
        (#"{"to": "int4", "name": "smollm2-135m-instruct"}"#, "input.name: is the model's own"),
        (#"{"to": "int4", "text": ""}"#, "input.text: must not be empty"),
        (#"{"to": "int4", "window": 3}"#, "input.window: unknown field"),
    ])
    func refusedInputs(_ json: String, _ message: String) throws {
        let input = try JSONValue(parsing: json)
        let error = #expect(throws: InputError.self) { try QuantizeInput(input, model: Self.name) }
        #expect(error?.description.hasPrefix(message) == true, "\(String(describing: error))")
    }
}
