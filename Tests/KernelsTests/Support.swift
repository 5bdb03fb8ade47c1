// Random inputs with a printed seed, byte comparison, and the tables of all levels of this CPU.
import CKernels
import LLMKernels
import Testing

/// SplitMix64; `seed` goes into failure messages.
struct Randomness: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64 = .random(in: 0...UInt64.max)) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func floats(_ count: Int, in range: ClosedRange<Float> = -3...3) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &self) }
    }
}

/// Every level of this CPU; the first is the scalar one.
let levels: [ck_kernels] = [ck_scalar, ck_avx2, ck_avx512vnni, ck_neon].compactMap { ck_kernels_of($0)?.pointee }

/// Equal bits, any NaN equal to any other.
func sameBytes(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
}

func relativeError(_ value: Float, _ truth: Double) -> Double { abs(Double(value) - truth) / abs(truth) }

/// A packed matrix of random weights and the same weights as floats, row-major.
func randomMatrix(
    rows: Int, columns: Int, layout: WeightLayout, minimums: Bool = false, random: inout Randomness
) throws -> (packed: PackedMatrix, floats: [Float]) {
    var builder = try PackedMatrixBuilder(rows: rows, columns: columns, layout: layout, minimums: minimums)
    for row in 0..<rows {
        let scales = random.floats(columns / 32, in: 0.001...0.02), lows = random.floats(columns / 32, in: -0.2...0)
        switch layout {
        case .int4:
            let q = (0..<columns).map { _ in UInt8.random(in: 0...15, using: &random) }
            q.withUnsafeBufferPointer { q in
                scales.withUnsafeBufferPointer { scales in
                    lows.withUnsafeBufferPointer { builder.setRow(row, int4: q, scales: scales, minimums: $0) }
                }
            }
        case .int8:
            let q = (0..<columns).map { _ in Int8.random(in: -128...127, using: &random) }
            q.withUnsafeBufferPointer { q in
                scales.withUnsafeBufferPointer { scales in
                    lows.withUnsafeBufferPointer {
                        builder.setRow(row, int8: q, scales: scales, minimums: minimums ? $0 : nil)
                    }
                }
            }
        default:
            random.floats(columns, in: -0.2...0.2).withUnsafeBufferPointer { builder.setRow(row, floats: $0) }
        }
    }
    let packed = builder.finish()
    var floats = [Float](repeating: 0, count: rows * columns)
    floats.withUnsafeMutableBufferPointer { all in
        for row in 0..<rows { packed.copyRow(row, to: .init(rebasing: all[row * columns..<(row + 1) * columns])) }
    }
    return (packed, floats)
}

extension AlignedBuffer {
    var array: [Element] { Array(elements) }
}
