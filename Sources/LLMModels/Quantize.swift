// Encoding of weights: float16, Q8_0, and Q4_1 with a search for the scale that loses least. Rows in, file bytes out.
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
        case .q8_0:
            for block in 0..<source.count / 32 { Quantize.q8_0(values + block * 32, to: target + block * 34) }
        case .q4_1:
            for block in 0..<source.count / 32 { Quantize.q4_1(values + block * 32, to: target + block * 20) }
        default: preconditionFailure("nothing is written as \(name)")
        }
    }
}

enum Quantize {
    typealias Block = SIMD32<Float>

    @inline(__always)
    private static func load(_ source: UnsafePointer<Float>) -> Block {
        UnsafeRawPointer(source).loadUnaligned(as: Block.self)
    }

    @inline(__always)
    private static func store(_ bits: Float16, _ offset: Int, in target: UnsafeMutableRawPointer) {
        target.storeBytes(of: bits.bitPattern.littleEndian, toByteOffset: offset, as: UInt16.self)
    }

    /// scale = max|x| / 127; halves are rounded away from zero, as ggml does.
    static func q8_0(_ source: UnsafePointer<Float>, to target: UnsafeMutableRawPointer) {
        let x = load(source)
        let size = x.replacing(with: -x, where: x .< 0)
        let scale = size.max() / 127
        let inverse = scale == 0 ? 0 : 1 / scale
        store(Float16(scale), 0, in: target)
        for i in 0..<32 {
            let scaled = abs(source[i] * inverse)
            let whole = Float(Int32(scaled))
            let rounded = Int32(whole) + Int32(2 * (scaled - whole))
            // A scale that is no normal number may have an inverse beyond all numbers of a byte.
            let q = Int8(clamping: source[i] < 0 ? -rounded : rounded)
            target.storeBytes(of: q, toByteOffset: 2 + i, as: Int8.self)
        }
    }

    /// To the nearest whole number, ties to even; for sizes far below 2^22.
    @inline(__always)
    private static func rounded(_ x: Block) -> Block {
        let magic = Block(repeating: 12_582_912)
        return (x + magic) - magic
    }

    /// Of several widths of a step the one with the least sum of squared errors. For each, values are rounded to steps, then
    /// scale and minimum are what fits these steps best (least squares), rounded to float16 as the file has them.
    static func q4_1(_ source: UnsafePointer<Float>, to target: UnsafeMutableRawPointer) {
        let x = load(source)
        let low = x.min(), width = x.max() - low
        var best = Candidate(x, scale: width / 15, minimum: low)
        if width > 0 && width.isFinite {
            let sum = x.sum()
            // Fewer steps than 15 over the width: blocks that were quantised before and don't use all of theirs; and widths
            // between, where cutting the ends off makes the middle finer.
            for tenth in -40...12 where tenth >= -10 || tenth % 10 == 0 {
                let steps = (15 + Float(tenth) / 10) / width
                let q = clamped(rounded((x - low) * steps))
                let (ones, squares, products) = (q.sum(), (q * q).sum(), (q * x).sum())
                let determinant = 32 * squares - ones * ones
                if determinant <= 0 { continue }
                let scale = (32 * products - ones * sum) / determinant
                let candidate = Candidate(x, scale: scale, minimum: (sum - scale * ones) / 32)
                if candidate.error < best.error { best = candidate }
            }
        }
        store(best.scale, 0, in: target)
        store(best.minimum, 2, in: target)
        for i in 0..<16 {
            target.storeBytes(of: UInt8(best.q[i]) | UInt8(best.q[16 + i]) << 4, toByteOffset: 4 + i, as: UInt8.self)
        }
    }

    @inline(__always)
    private static func clamped(_ q: Block) -> Block {
        let positive = q.replacing(with: 0, where: q .< 0)
        return positive.replacing(with: 15, where: positive .> 15)
    }

    private struct Candidate {
        let scale: Float16
        let minimum: Float16
        let q: Block
        let error: Float

        @inline(__always)
        init(_ x: Block, scale: Float, minimum: Float) {
            self.scale = Float16(max(-65504, min(scale, 65504)))
            self.minimum = Float16(max(-65504, min(minimum, 65504)))
            let (width, low) = (Float(self.scale), Float(self.minimum))
            q = width > 0 ? Quantize.clamped(Quantize.rounded((x - low) / width)) : Block(repeating: 0)
            let difference = q * width + low - x
            error = (difference * difference).sum()
        }
    }
}
