// Blocks of GGUF files: the same bytes at every level. What they are worth is tested with the files, in ModelsTests.
import CKernels
import Testing

@testable import LLMKernels

@Suite struct BlockEncodingTests {
    @Test func everyLevelGivesTheSameBytes() {
        var random = Randomness()
        // Usual blocks, tiny and huge ones, some of one value, some of few values, some with halves between two steps.
        var x: [Float] = []
        for block in 0..<400 {
            let size = Float.random(in: 1e-6...10, using: &random)
            switch block % 5 {
            case 0: x += random.floats(32, in: -size...size)
            case 1: x += Array(repeating: size, count: 32)
            case 2: x += (0..<32).map { _ in Float(Int.random(in: -3...3, using: &random)) * size }
            case 3: x += (0..<32).map { _ in (Float(Int.random(in: -127...126, using: &random)) + 0.5) / 127 * size }
            default: x += random.floats(32, in: -1e-38...1e-38).map { block % 2 == 0 ? $0 : $0 * 1e38 * 6e4 }
            }
        }
        x += Array(repeating: 0, count: 32)
        let blocks = x.count / 32
        func bytes(_ size: Int, _ encode: (UnsafePointer<Float>?, UnsafeMutablePointer<UInt8>?, Int64) -> Void)
            -> [UInt8]
        {
            var out = [UInt8](repeating: 0, count: blocks * size)
            encode(x, &out, Int64(blocks))
            return out
        }
        for level in levels.dropFirst() {
            #expect(
                bytes(34) { level.encode_q8_0($0, $1, $2) } == bytes(34) { levels[0].encode_q8_0($0, $1, $2) },
                "seed \(random.seed)")
            #expect(
                bytes(20) { level.encode_q4_1($0, $1, $2) } == bytes(20) { levels[0].encode_q4_1($0, $1, $2) },
                "seed \(random.seed)")
        }
    }
}
