// A row's logits depend on its sequence alone: not on what else is in the step, on how a prompt is cut, on where the cache
// holds it, or on the number of threads.
import AllocationCounter
import LLMKernels
import Testing

import LLMModels

@Suite struct ForwardTests {
    /// The text of one sequence and the bits of its logits, computed alone and token by token.
    private struct Alone {
        let text: [Int32]
        let bits: [[UInt32]]
    }

    private static func alone(_ model: LanguageModel, texts: [[Int32]]) -> [Alone] {
        let team = ThreadTeam(threads: 1)
        return texts.map { text in
            let harness = ForwardHarness(model, team: team, blocks: (text.count + 15) / 16, rows: 1)
            let rows = harness.logits(of: text, at: Array(text.indices))
            return Alone(text: text, bits: rows.map { $0.map(\.bitPattern) })
        }
    }

    /// Random mixtures of sequences, each cut at random places, until all are done. Returns wrong rows.
    private static func mix(
        _ sequences: [Alone], on harness: ForwardHarness, _ random: inout SeededGenerator
    ) -> [String] {
        var done = Array(repeating: 0, count: sequences.count)
        let tables = sequences.map { harness.blockTable(tokens: $0.text.count) }
        var wrong: [String] = []
        while true {
            var (chosen, rows) = ([Int](), 0)
            var chunks: [ForwardHarness.Chunk] = []
            for sequence in sequences.indices.shuffled(using: &random) {
                let left = min(sequences[sequence].text.count - done[sequence], 64 - rows)
                guard left > 0, Int.random(in: 0..<4, using: &random) > 0 else { continue }
                let longest = Bool.random(using: &random) ? 1 : Int.random(in: 1...40, using: &random)
                let size = min(left, longest)
                let wanted = (0..<size).filter { $0 == size - 1 || $0 % 3 == 0 }
                chunks.append(
                    .init(
                        tokens: sequences[sequence].text[done[sequence]..<done[sequence] + size], start: done[sequence],
                        table: tables[sequence], wanted: wanted))
                chosen.append(sequence)
                rows += size
            }
            for (sequence, (chunk, logits)) in zip(chosen, zip(chunks, harness.step(chunks))) {
                for (place, row) in zip(chunk.wanted, logits)
                where row.map(\.bitPattern) != sequences[sequence].bits[chunk.start + place] {
                    wrong.append(
                        "sequence \(sequence), position \(chunk.start + place), chunk of \(chunk.tokens.count)")
                }
                done[sequence] += chunk.tokens.count
            }
            if zip(done, sequences).allSatisfy({ $0 == $1.text.count }) { break }
        }
        for table in tables { harness.giveBack(table, at: Int.random(in: 0..<1000, using: &random)) }
        return wrong
    }

    @Test(arguments: GoldenModel.all, ComputePrecision.allCases)
    func batchedIsSingle(golden: GoldenModel, precision: ComputePrecision) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let model = try golden.load(precision, GoldensTests.team)
        let texts = [1, 16, 17, 33, 70, 120].map { length in
            (0..<length).map { _ in Int32.random(in: 0..<Int32(GoldenModel.vocabulary), using: &random) }
        }
        let sequences = Self.alone(model, texts: texts)
        for threads in 1...3 {
            let team = ThreadTeam(threads: threads)
            let order = Array<Int32>(0..<24).shuffled(using: &random)
            let harness = ForwardHarness(model, team: team, blocks: 24, order: { _ in order })
            // The second round finds the cache full of other sequences' values.
            for _ in 0..<2 {
                let wrong = Self.mix(sequences, on: harness, &random)
                #expect(wrong.isEmpty, "seed \(seed), \(threads) threads")
            }
        }
    }

    @Test(arguments: ["smollm2-135m-instruct", "gemma3-270m"])
    func batchedIsSingleInRealModels(name: String) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let model = try LanguageModel(
            try openModel(try realModel(name)), precision: .served, team: GoldensTests.team)
        let text = try RealGolden.read(name, vocabulary: model.configuration.vocabularySize).golden.text
        let sequences = Self.alone(model, texts: [Array(text[..<40]), Array(text[20..<37]), Array(text[50..<55])])
        for threads in 2...3 {
            let harness = ForwardHarness(
                model, team: ThreadTeam(threads: threads), blocks: 8,
                order: { $0.shuffled(using: &random) })
            let wrong = Self.mix(sequences, on: harness, &random)
            #expect(wrong.isEmpty, "seed \(seed), \(threads) threads")
        }
    }

    @Test(arguments: GoldenModel.all)
    func aStepAllocatesNothing(golden: GoldenModel) throws {
        let team = ThreadTeam(threads: 1)
        let harness = ForwardHarness(try golden.load(.served, team), team: team)
        let chunks = (0..<4 as Range<Int32>).map { sequence in
            ForwardHarness.Chunk(
                tokens: [5, 6, 7, sequence], start: 0, table: harness.blockTable(tokens: 4), wanted: [3])
        }
        harness.repeatStep(chunks, count: 2)
        let before = allocationCount()
        harness.repeatStep(chunks, count: 1)
        let once = allocationCount() - before
        harness.repeatStep(chunks, count: 101)
        #expect(allocationCount() - before == 2 * once, "allocations of 100 steps more")
    }
}
