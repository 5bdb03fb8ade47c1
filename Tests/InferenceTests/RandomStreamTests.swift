import LLMInference
import Testing

@Suite struct RandomStreamTests {
    /// The known answers that Random123 ships (kat_vectors, philox4x32 10).
    @Test(
        arguments: [
            ([0, 0, 0, 0], [0, 0], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
            (
                [.max, .max, .max, .max], [.max, .max],
                [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]
            ),
            (
                [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0],
                [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
            ),
        ] as [([UInt32], [UInt32], [UInt32])])
    func philoxGivesTheKnownAnswers(counter: [UInt32], key: [UInt32], expected: [UInt32]) {
        let block = Philox.block(counter: SIMD4(counter), key: SIMD2(key))
        #expect(block == SIMD4(expected))
    }

    @Test func uniformNumbersAreSpreadEvenly() {
        var counts = [Int](repeating: 0, count: 64)
        let stream = RandomStream(seed: 42)
        for position in 0..<64_000 {
            let value = stream.uniform(at: UInt64(position))
            #expect(value >= 0 && value < 1)
            counts[Int(value * 64)] += 1
        }
        // Chi-square with 63 degrees of freedom: 103.4 is its 0.999 quantile; the seed is fixed, so this never flickers.
        let chiSquare = counts.reduce(0.0) { $0 + (Double($1) - 1000) * (Double($1) - 1000) / 1000 }
        #expect(chiSquare < 103.4)
        #expect(RandomStream(seed: 1).uniform(at: 0) != RandomStream(seed: 2).uniform(at: 0))
    }
}
