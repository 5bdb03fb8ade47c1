import Synchronization
import LLMKernels
import Testing

@testable import LLMInference

@Suite struct EngineThreadTests {
    private let limits = EngineLimits(maximumSequences: 4, tokenBudget: 16, cacheBlocks: 64)

    /// Room for answers that would take the toy model hours.
    private let roomy = EngineLimits(maximumSequences: 4, tokenBudget: 16, cacheBlocks: 250_000)

    private func request(_ id: UInt64, output: Int = 20) -> GenerationRequest {
        GenerationRequest(
            id: id, prompt: [Int32(id % 90 + 1), 2, 3],
            parameters: SamplingParameters(maximumTokens: output, temperature: 1, seed: id, ignoreEndOfText: true))
    }

    @Test func answersManyCallersAtOnce() async throws {
        let thread = try EngineThread(model: ToyModel(), limits: limits, team: ThreadTeam(threads: 2))
        let outputs = await withTaskGroup(of: (UInt64, GenerationOutput?, Int).self) { group in
            for id in 0..<100 as Range<UInt64> {
                group.addTask {
                    var output: GenerationOutput?
                    var tokens = 0
                    for await event in thread.events(of: request(id)) {
                        switch event {
                        case .token: tokens += 1
                        case .finished(_, let whole): output = whole
                        case .scored, .embedded, .failed: break
                        }
                    }
                    return (id, output, tokens)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outputs.count == 100)
        for (id, output, tokens) in outputs {
            #expect(tokens == 20)
            #expect(output == (try EngineHarness().run(one: request(id)).output))
        }
        await thread.drain()
        #expect(thread.stats.finished == 100 && thread.stats.freeSlots == 4)
    }

    @Test func drainFinishesAndRefuses() async throws {
        let thread = try EngineThread(model: ToyModel(), limits: limits, team: ThreadTeam(threads: 2))
        let ends = Mutex<[EngineEvent]>([])
        for id in 0..<10 as Range<UInt64> {
            thread.submit(request(id)) { event in if event.isLast { ends.withLock { $0.append(event) } } }
        }
        await thread.drain()
        let finished = ends.withLock { $0 }
        #expect(finished.count == 10)
        for case .finished(_, let output) in finished { #expect(output.finishReason == .length) }
        var events = thread.events(of: request(50)).makeAsyncIterator()
        #expect(await events.next() == .failed(request: 50, .stopped))
        #expect(await events.next() == nil)
        await thread.drain()
        await thread.stop()
    }

    @Test func stopCancelsWhatRuns() async throws {
        let thread = try EngineThread(
            model: ToyModel(contextLength: 1_000_000), limits: roomy, team: ThreadTeam(threads: 2))
        let reasons = Mutex<[FinishReason]>([])
        let (first, isRunning) = AsyncStream.makeStream(of: Void.self)
        for id in 0..<6 as Range<UInt64> {
            thread.submit(request(id, output: 900_000)) { event in
                isRunning.yield()
                if case .finished(_, let output) = event { reasons.withLock { $0.append(output.finishReason) } }
            }
        }
        for await _ in first { break }
        await thread.stop()
        #expect(reasons.withLock { $0 } == Array(repeating: .cancelled, count: 6))
    }

    @Test func leavingTheStreamCancelsTheRequest() async throws {
        let thread = try EngineThread(
            model: ToyModel(contextLength: 1_000_000), limits: roomy, team: ThreadTeam(threads: 2))
        let task = Task {
            for await event in thread.events(of: request(1, output: 900_000)) { if case .token = event { break } }
        }
        await task.value
        // The capacity stream tells when the slot is free again.
        for await stats in thread.capacity where stats.running == 0 { break }
        #expect(thread.stats.generatedTokens < 900_000)
        await thread.stop()
    }

    @Test func capacityTellsOfFreeSlots() async throws {
        let thread = try EngineThread(model: ToyModel(), limits: limits, team: ThreadTeam(threads: 2))
        #expect(thread.stats.freeSlots == 4)
        for id in 0..<4 as Range<UInt64> { thread.submit(request(id)) { _ in } }
        var submitted: UInt64 = 4
        // Topping up by what is free, until fifty are through.
        for await stats in thread.capacity {
            if stats.finished >= 50 { break }
            for _ in 0..<stats.freeSlots where submitted < 50 {
                thread.submit(request(submitted)) { _ in }
                submitted += 1
            }
        }
        await thread.drain()
        #expect(thread.stats.finished == 50 && thread.stats.running == 0)
    }
}
