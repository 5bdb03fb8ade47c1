// Every family from both formats against transformers.
import LLMKernels
import Testing

import LLMModels

@Suite struct GoldensTests {
    static let team = ThreadTeam(threads: 2)

    @Test(arguments: GoldenModel.all)
    func greedyTokensAndLogitsAreThoseOfTransformers(golden: GoldenModel) throws {
        let harness = ForwardHarness(try golden.load(.reference, Self.team), team: Self.team, rows: 20)
        for (item, logits) in try golden.expectation() {
            #expect(harness.greedy(after: item.prompt, count: item.greedy.count) == item.greedy)
            let found = harness.logits(of: item.prompt + item.greedy, at: item.positions)
            for (position, (a, b)) in zip(item.positions, zip(found, logits)) {
                let difference = greatestDifference(a, b)
                #expect(difference < 2e-3, "position \(position)")
            }
        }
    }

    /// What the served path adds: keys and values in 16 bits, and inputs in 8 where the weights are.
    @Test(arguments: GoldenModel.all)
    func servedLogitsAreClose(golden: GoldenModel) throws {
        let harness = ForwardHarness(try golden.load(.served, Self.team), team: Self.team)
        var (error, power) = (0.0, 0.0)
        for (item, logits) in try golden.expectation() {
            let found = harness.logits(of: item.prompt + item.greedy, at: item.positions)
            for (a, b) in zip(found.joined(), logits.joined()) {
                error += Double(a - b) * Double(a - b)
                power += Double(b) * Double(b)
            }
        }
        let relative = (error / power).squareRoot()
        #expect(relative < (golden.file == "q8_0.gguf" ? 0.05 : 0.005))
    }
}
