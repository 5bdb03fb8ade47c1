// How the numbers of a tensor are stored: plain floats, or blocks of small integers with their scales (ggml's formats).

/// A storage format of weights. The raw value is ggml's type number.
package enum TensorEncoding: UInt32, Sendable, CaseIterable {
    case float32 = 0
    case float16 = 1
    case q4_0 = 2
    case q4_1 = 3
    case q5_0 = 6
    case q5_1 = 7
    case q8_0 = 8
    case q2_K = 10
    case q3_K = 11
    case q4_K = 12
    case q5_K = 13
    case q6_K = 14
    case iq4_NL = 20
    case bfloat16 = 30

    /// Values per block; a row is a whole number of blocks.
    package var blockSize: Int {
        switch self {
        case .float32, .float16, .bfloat16: 1
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_NL: 32
        case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: 256
        }
    }

    /// Bytes per block. The sums name the parts of a block in the order of the file.
    package var blockBytes: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        case .q4_0, .iq4_NL: 2 + 16  // scale, nibbles
        case .q4_1: 2 + 2 + 16  // scale, minimum, nibbles
        case .q5_0: 2 + 4 + 16  // scale, fifth bits, nibbles
        case .q5_1: 2 + 2 + 4 + 16  // scale, minimum, fifth bits, nibbles
        case .q8_0: 2 + 32  // scale, bytes
        case .q2_K: 16 + 64 + 2 + 2  // 4-bit scales and minimums, crumbs, scale, scale of the minimums
        case .q3_K: 32 + 64 + 12 + 2  // third bits, crumbs, 6-bit scales, scale
        case .q4_K: 2 + 2 + 12 + 128  // scale, scale of the minimums, 6-bit scales and minimums, nibbles
        case .q5_K: 2 + 2 + 12 + 32 + 128  // the same, with fifth bits before the nibbles
        case .q6_K: 128 + 64 + 16 + 2  // nibbles, fifth and sixth bits, 8-bit scales, scale
        }
    }

    /// The name that llama.cpp prints.
    package var name: String {
        switch self {
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .q4_0: "Q4_0"
        case .q4_1: "Q4_1"
        case .q5_0: "Q5_0"
        case .q5_1: "Q5_1"
        case .q8_0: "Q8_0"
        case .q2_K: "Q2_K"
        case .q3_K: "Q3_K"
        case .q4_K: "Q4_K"
        case .q5_K: "Q5_K"
        case .q6_K: "Q6_K"
        case .iq4_NL: "IQ4_NL"
        }
    }

    /// Bytes of a row of `columns` values; nil when the row is no whole number of blocks or the size overflows.
    package func rowBytes(_ columns: Int) -> Int? {
        guard columns >= 0, columns.isMultiple(of: blockSize) else { return nil }
        let (bytes, overflow) = (columns / blockSize).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }

    /// Decodes `count` values, a multiple of `blockSize`, from `source` to `target`. The result equals that of the
    /// `gguf` Python package bit for bit: the same operations in float32, in the same order.
    package func dequantize(_ source: UnsafeRawPointer, count: Int, to target: UnsafeMutablePointer<Float>) {
        let blocks = count / blockSize
        switch self {
        case .float32: UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
        case .float16: Dequantize.float16(source, count, target)
        case .bfloat16: Dequantize.bfloat16(source, count, target)
        case .q4_0: Dequantize.q4_0(source, blocks, target)
        case .q4_1: Dequantize.q4_1(source, blocks, target)
        case .q5_0: Dequantize.q5_0(source, blocks, target)
        case .q5_1: Dequantize.q5_1(source, blocks, target)
        case .q8_0: Dequantize.q8_0(source, blocks, target)
        case .iq4_NL: Dequantize.iq4_NL(source, blocks, target)
        case .q2_K: Dequantize.q2_K(source, blocks, target)
        case .q3_K: Dequantize.q3_K(source, blocks, target)
        case .q4_K: Dequantize.q4_K(source, blocks, target)
        case .q5_K: Dequantize.q5_K(source, blocks, target)
        case .q6_K: Dequantize.q6_K(source, blocks, target)
        }
    }
}
