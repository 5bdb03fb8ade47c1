import AllocationCounter
import LLMKernels
import LLMModels
import Testing

@testable import LLMInference

@Suite struct EngineAllocationTests {
    /// Decoding with a runner that does nothing but fill logits: what is counted is the engine's own.
    @Test(arguments: [
        SamplingParameters(maximumTokens: 400, ignoreEndOfText: true),
        SamplingParameters(
            maximumTokens: 400, temperature: 1, topK: 30, topP: 0.9, minP: 0.01, repetitionPenalty: 1.1,
            presencePenalty: 0.1, frequencyPenalty: 0.1, seed: 3, ignoreEndOfText: true),
        SamplingParameters(
            maximumTokens: 400, temperature: 1, stop: ["never", "in this text"], stopTokens: [96], ignoreEndOfText: true
        ),
    ])
    func aSteadyStepAllocatesNothing(parameters: SamplingParameters) throws {
        #expect(try allocationsOfSteadySteps(300, parameters, threads: 1) == 0)
        // A closure that runs on several threads has its context on the heap: twice a step.
        #expect(try allocationsOfSteadySteps(300, parameters, threads: 2) <= 600)
    }

    private func allocationsOfSteadySteps(_ steps: Int, _ parameters: SamplingParameters, threads: Int) throws -> UInt64
    {
        let limits = EngineLimits(maximumSequences: 8, tokenBudget: 64, cacheBlocks: 8 * 32)
        let engine = try Engine(model: QuietModel(), limits: limits, team: ThreadTeam(threads: threads))
        for id in 0..<8 as Range<UInt64> {
            try engine.submit(GenerationRequest(id: id, prompt: [1, 2, 3], parameters: parameters))
        }
        for _ in 0..<20 { engine.step { _ in } }
        var tokens = 0
        let before = allocationCount()
        for _ in 0..<steps { engine.step { _ in tokens += 1 } }
        let allocations = allocationCount() - before
        #expect(tokens == 8 * steps)
        return allocations
    }

    @Test func theCounterCounts() {
        let before = allocationCount()
        let array = [Int](repeating: 1, count: Int.random(in: 100...200))
        #expect(array.count >= 100 && allocationCount() > before)
    }
}

/// Constant logits, one letter a token.
private struct QuietModel: StepModel {
    var vocabularySize: Int { 97 }
    var contextLength: Int { 512 }
    var hiddenSize: Int { 1 }
    var endOfTextTokens: [Int32] { [0] }

    struct Decoder: TextDecoder {
        mutating func append(_ token: Int32) -> String { token % 5 == 0 ? " " : "x" }
        mutating func finish() -> String { "" }
    }

    final class Runner: StepRunner {
        let logits: UnsafeMutablePointer<Float>
        init(rows: Int) {
            logits = .allocate(capacity: rows * 97)
            for index in 0..<rows * 97 { logits[index] = index % 97 == 96 ? -.infinity : Float(index % 13) }
        }
        deinit { logits.deallocate() }
        func forward(_ batch: StepBatch) -> UnsafePointer<Float> { UnsafePointer(logits) }
        func logits(_ places: Range<Int>) -> UnsafePointer<Float> { UnsafePointer(logits) }
    }

    func makeTextDecoder() -> any TextDecoder { Decoder() }
    func fits(_ adapter: LoRAAdapter) -> Bool { false }

    func makeRunner(cacheBlocks: Int, maximumRows: Int, maximumLogitRows: Int, team: ThreadTeam) -> any StepRunner {
        Runner(rows: maximumLogitRows)
    }
}
