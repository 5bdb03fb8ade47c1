// Encoding of weights: float16, Q8_0 and Q4_1. Rows in, file bytes out.
import LLMKernels

/// What a model can be quantised to.
package enum QuantizationTarget: String, Sendable, CaseIterable {
    case float16 = "f16"
    /// Q8_0: bytes with a scale for 32 values.
    case int8
    /// Q4_1: half bytes with a scale and a minimum for 32 values.
    case int4

    package var encoding: TensorEncoding {
        switch self {
        case .float16: .float16
        case .int8: .q8_0
        case .int4: .q4_1
        }
    }

    /// The number by which GGUF files say what most of their tensors are.
    var fileType: UInt32 {
        switch self {
        case .float16: 1
        case .int8: 7
        case .int4: 3
        }
    }
}

extension TensorEncoding {
    /// Encodes a row of finite values, whole blocks, to `target`. float32, float16, Q8_0 and Q4_1 only.
    func quantize(_ source: UnsafeBufferPointer<Float>, to target: UnsafeMutableRawPointer) {
        let values = source.baseAddress!
        switch self {
        case .float32: target.copyMemory(from: values, byteCount: 4 * source.count)
        case .float16:
            target.withMemoryRebound(to: UInt16.self, capacity: source.count) {
                convert(source, toHalf: .init(start: $0, count: source.count))
            }
        case .q8_0: encodeQ8_0(source, to: .init(start: target, count: source.count / 32 * 34))
        case .q4_1: encodeQ4_1(source, to: .init(start: target, count: source.count / 32 * 20))
        default: preconditionFailure("nothing is written as \(name)")
        }
    }
}
