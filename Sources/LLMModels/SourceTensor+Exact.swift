// The integers of a quantised tensor, for compute layouts that hold them without loss: w = scale·q + minimum in blocks of
// 32 along a row.

/// Which integer layout holds a tensor exactly.
package enum ExactForm: Sendable, Equatable {
    /// None: floats, and formats with scales for 16 values (Q2_K, Q3_K, Q6_K).
    case none
    /// Values 0...15 with scale and minimum: Q4_0 (minimum = -8·scale), Q4_1, Q4_K.
    case int4
    /// Signed bytes with a scale: Q8_0, Q5_0, IQ4_NL.
    case int8
    /// Bytes 0...31 with scale and minimum: Q5_1, Q5_K.
    case int8WithMinimums
}

extension TensorEncoding {
    package var exactForm: ExactForm {
        switch self {
        case .q4_0, .q4_1, .q4_K: .int4
        case .q8_0, .q5_0, .iq4_NL: .int8
        case .q5_1, .q5_K: .int8WithMinimums
        case .float32, .float16, .bfloat16, .q2_K, .q3_K, .q6_K: .none
        }
    }
}

extension SourceTensor {
    package var exactForm: ExactForm { encoding.exactForm }

    /// Copies the integers of a row (`columns` values 0...15) with the scale and minimum of each block of 32.
    /// `exactForm` must be `.int4`.
    package func copyRow(
        _ row: Int, int4 values: UnsafeMutableBufferPointer<UInt8>, scales: UnsafeMutableBufferPointer<Float>,
        minimums: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(exactForm == .int4 && row >= 0 && row < rows)
        precondition(values.count >= columns && min(scales.count, minimums.count) >= columns / 32)
        let (source, blocks) = (rowStart(row), columns / encoding.blockSize)
        let (values, scales, minimums) = (values.baseAddress!, scales.baseAddress!, minimums.baseAddress!)
        switch encoding {
        case .q4_0:
            for block in 0..<blocks {
                let from = source + block &* 18
                scales[block] = Dequantize.half(from, 0)
                minimums[block] = -8 * scales[block]
                Unpack.nibbles(from + 2, to: values + block &* 32)
            }
        case .q4_1:
            for block in 0..<blocks {
                let from = source + block &* 20
                scales[block] = Dequantize.half(from, 0)
                minimums[block] = Dequantize.half(from, 2)
                Unpack.nibbles(from + 4, to: values + block &* 32)
            }
        default:
            for block in 0..<blocks {
                let from = source + block &* 144
                Unpack.superblockScales(from, to: scales + block &* 8, minimums + block &* 8)
                for part in 0..<8 {
                    Unpack.part(part, nibbles: from + 16, to: values + (block &* 256 &+ part &* 32))
                }
            }
        }
    }

    /// Copies the integers of a row (`columns` values) with the scale and, where there is one, the minimum of each block
    /// of 32. `exactForm` must be `.int8` and `minimums` nil, or `.int8WithMinimums` and `minimums` given.
    package func copyRow(
        _ row: Int, int8 values: UnsafeMutableBufferPointer<Int8>, scales: UnsafeMutableBufferPointer<Float>,
        minimums: UnsafeMutableBufferPointer<Float>?
    ) {
        precondition(exactForm == (minimums == nil ? .int8 : .int8WithMinimums) && row >= 0 && row < rows)
        precondition(values.count >= columns && scales.count >= columns / 32)
        precondition((minimums?.count ?? .max) >= columns / 32)
        let (source, blocks) = (rowStart(row), columns / encoding.blockSize)
        let (values, scales) = (values.baseAddress!, scales.baseAddress!)
        switch encoding {
        case .q8_0:
            for block in 0..<blocks {
                let from = source + block &* 34
                scales[block] = Dequantize.half(from, 0)
                UnsafeMutableRawPointer(values + block &* 32).copyMemory(from: from + 2, byteCount: 32)
            }
        case .iq4_NL:
            for block in 0..<blocks {
                let from = source + block &* 18
                scales[block] = Dequantize.half(from, 0)
                let to = values + block &* 32
                for i in 0..<16 {
                    let pair = from.load(fromByteOffset: 2 &+ i, as: UInt8.self)
                    to[i] = Dequantize.iq4Value(pair & 15)
                    to[16 &+ i] = Dequantize.iq4Value(pair >> 4)
                }
            }
        case .q5_0:
            for block in 0..<blocks {
                let from = source + block &* 22
                scales[block] = Dequantize.half(from, 0)
                Unpack.fiveBits(nibbles: from + 6, fifth: from + 2, minus: 16, to: values + block &* 32)
            }
        case .q5_1:
            for block in 0..<blocks {
                let from = source + block &* 24
                scales[block] = Dequantize.half(from, 0)
                minimums![block] = Dequantize.half(from, 2)
                Unpack.fiveBits(nibbles: from + 8, fifth: from + 4, minus: 0, to: values + block &* 32)
            }
        default:
            for block in 0..<blocks {
                let from = source + block &* 176
                Unpack.superblockScales(from, to: scales + block &* 8, minimums!.baseAddress! + block &* 8)
                for part in 0..<8 {
                    Unpack.part(part, nibbles: from + 48, fifth: from + 16, to: values + (block &* 256 &+ part &* 32))
                }
            }
        }
    }
}

/// The integers of one block.
private enum Unpack {
    @inline(__always)
    static func nibbles(_ source: UnsafeRawPointer, to target: UnsafeMutablePointer<UInt8>) {
        for i in 0..<16 {
            let pair = source.load(fromByteOffset: i, as: UInt8.self)
            target[i] = pair & 15
            target[16 &+ i] = pair >> 4
        }
    }

    @inline(__always)
    static func fiveBits(
        nibbles: UnsafeRawPointer, fifth: UnsafeRawPointer, minus offset: Int32, to target: UnsafeMutablePointer<Int8>
    ) {
        let bits = fifth.loadUnaligned(as: UInt32.self)
        for i in 0..<16 {
            let pair = Dequantize.byte(nibbles, i)
            target[i] = Int8(truncatingIfNeeded: pair & 15 | Dequantize.fifthBit(bits, i) &- offset)
            target[16 &+ i] = Int8(truncatingIfNeeded: pair >> 4 | Dequantize.fifthBit(bits, 16 &+ i) &- offset)
        }
    }

    /// Scales and minimums of the eight parts of a Q4_K or Q5_K superblock, multiplied out.
    @inline(__always)
    static func superblockScales(
        _ source: UnsafeRawPointer, to scales: UnsafeMutablePointer<Float>, _ minimums: UnsafeMutablePointer<Float>
    ) {
        let scale = Dequantize.half(source, 0)
        let minimumScale = Dequantize.half(source, 2)
        for part in 0..<8 {
            let (partScale, partMinimum) = Dequantize.scaleAndMinimum(source + 4, part)
            scales[part] = scale * partScale
            minimums[part] = -(minimumScale * partMinimum)
        }
    }

    @inline(__always)
    static func part(_ part: Int, nibbles: UnsafeRawPointer, to target: UnsafeMutablePointer<UInt8>) {
        let source = nibbles + part / 2 &* 32
        let shift = UInt8(truncatingIfNeeded: part % 2 &* 4)
        for i in 0..<32 { target[i] = source.load(fromByteOffset: i, as: UInt8.self) &>> shift & 15 }
    }

    @inline(__always)
    static func part(
        _ part: Int, nibbles: UnsafeRawPointer, fifth: UnsafeRawPointer, to target: UnsafeMutablePointer<Int8>
    ) {
        let source = nibbles + part / 2 &* 32
        let shift = Int32(part % 2 &* 4)
        let fifthShift = Int32(part)
        for i in 0..<32 {
            let value =
                Dequantize.byte(source, i) &>> shift & 15 | (Dequantize.byte(fifth, i) &>> fifthShift & 1) << 4
            target[i] = Int8(truncatingIfNeeded: value)
        }
    }
}
