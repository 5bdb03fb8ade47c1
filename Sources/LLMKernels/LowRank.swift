// Low-rank changes of matrices, row by row: each row of a step may have those of another adapter, or none.
import CKernels

/// W + B·A for a matrix W [outputs, inputs] that stays as it is (LoRA, Hu et al. 2021).
package struct LowRankMatrix: Sendable {
    package static let highestRank = Int(ck_highest_rank)

    package let inputs: Int
    package let outputs: Int
    package let rank: Int
    /// [rank, inputs]
    package let a: [Float]
    /// [outputs, rank]
    package let b: [Float]

    /// - Parameter rank: at most `highestRank`; 0 changes nothing.
    package init(inputs: Int, outputs: Int, rank: Int = 0, a: [Float] = [], b: [Float] = []) {
        precondition(0...Self.highestRank ~= rank && inputs > 0 && outputs > 0, "[\(outputs), \(rank), \(inputs)]")
        precondition(a.count == rank * inputs && b.count == outputs * rank, "\(a.count) and \(b.count) values")
        self.inputs = inputs
        self.outputs = outputs
        self.rank = rank
        self.a = a
        self.b = b
    }
}

/// The changes of all places of a model, packed; immutable.
package final class LowRankChanges: Sendable {
    package let count: Int
    package let byteCount: Int
    nonisolated(unsafe) private let list: UnsafeMutablePointer<ck_low_rank>
    private let memory: AlignedBuffer<UInt8>

    /// - Parameter areHalves: keep them as float16, each matrix by a power of two of its own, so that none overflows.
    package init(_ matrices: [LowRankMatrix], areHalves: Bool) {
        let packed = matrices.map { PackedLowRank($0, isHalf: areHalves) }
        count = matrices.count
        byteCount = packed.reduce(0) { $0 + $1.byteCount }
        memory = AlignedBuffer(count: max(1, byteCount))
        list = .allocate(capacity: max(1, count))
        var free = UnsafeMutableRawPointer(memory.base)
        for (place, matrix) in packed.enumerated() {
            (list + place).initialize(to: matrix.write(to: free))
            free += matrix.byteCount
        }
    }

    deinit { list.deallocate() }

    func entry(_ place: Int) -> UnsafePointer<ck_low_rank> {
        precondition(0..<count ~= place)
        return UnsafePointer(list + place)
    }
}

/// How a change stands in memory, as CKernels.h describes it.
private struct PackedLowRank {
    private let matrix: LowRankMatrix
    private let isHalf: Bool
    /// Powers of two.
    private let (scaleA, scaleB): (Float, Float)

    init(_ matrix: LowRankMatrix, isHalf: Bool) {
        self.matrix = matrix
        // To at most 1. What is far from usual numbers stays as it is.
        func scale(_ values: [Float]) -> Float? {
            let largest = values.reduce(0) { max($0, abs($1)) }
            if largest == 0 { return 1 }
            return 1e-12...1e12 ~= largest ? Float(sign: .plus, exponent: -1 - largest.exponent, significand: 1) : nil
        }
        if isHalf, let a = scale(matrix.a), let b = scale(matrix.b) {
            (self.isHalf, scaleA, scaleB) = (true, a, b)
        } else {
            (self.isHalf, scaleA, scaleB) = (false, 1, 1)
        }
    }

    private var stride: Int { (matrix.inputs + 15) / 16 * 16 }
    private var countA: Int {
        let group = Int(ck_rank_group)
        return (matrix.rank + group - 1) / group * group * stride
    }
    private var countB: Int { (matrix.outputs + 15) / 16 * 16 * matrix.rank }
    private var size: Int { isHalf ? 2 : 4 }
    var byteCount: Int { (countA + countB) * size }

    /// - Parameter memory: `byteCount` zero bytes.
    func write(to memory: UnsafeMutableRawPointer) -> ck_low_rank {
        let (a, b) = (memory, memory + countA * size)
        for j in 0..<matrix.rank {
            for i in 0..<matrix.inputs { store(matrix.a[j * matrix.inputs + i] * scaleA, in: a, at: j * stride + i) }
            for n in 0..<matrix.outputs {
                store(matrix.b[n * matrix.rank + j] * scaleB, in: b, at: (n / 16 * matrix.rank + j) * 16 + n % 16)
            }
        }
        return ck_low_rank(
            inputs: Int64(matrix.inputs), outputs: Int64(matrix.outputs), rank: Int64(matrix.rank),
            is_half: isHalf ? 1 : 0, factor: 1 / (scaleA * scaleB), a: a, b: b)
    }

    private func store(_ value: Float, in memory: UnsafeMutableRawPointer, at index: Int) {
        if isHalf {
            memory.storeBytes(of: Float16(value), toByteOffset: 2 * index, as: Float16.self)
        } else {
            memory.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
        }
    }
}

/// For each row of a step the changes that hold for it. Reused from step to step.
package final class LowRankRows {
    private let table: UnsafeMutablePointer<UnsafePointer<ck_low_rank>?>
    private let maximumRows: Int
    /// That all of them have.
    private var places = Int.max
    /// False when no row has changes: then there is nothing to do anywhere.
    package private(set) var isNeeded = false

    package init(maximumRows: Int) {
        self.maximumRows = maximumRows
        table = .allocate(capacity: maximumRows)
        table.initialize(repeating: nil, count: maximumRows)
    }

    deinit { table.deallocate() }

    /// No row has changes.
    package func clear() {
        if isNeeded { table.update(repeating: nil, count: maximumRows) }
        isNeeded = false
        places = .max
    }

    /// Row `row` has these changes, which must live until `clear`.
    package func assign(_ changes: LowRankChanges, to row: Int) {
        precondition(0..<maximumRows ~= row, "row \(row)")
        table[row] = changes.entry(0)
        places = min(places, changes.count)
        isNeeded = true
    }

    /// y += B·(A·x) with the changes at `places`, one after another in the columns of y, as wide as their outputs; nil when
    /// no row has any.
    package func add(_ x: MatrixView, at places: Range<Int>, to y: MatrixView) -> RowOperation? {
        guard isNeeded else { return nil }
        precondition(places.upperBound <= self.places && x.rows <= maximumRows && y.rows == x.rows)
        return .change(LowRankAddition(x: x, y: y, first: places.lowerBound, count: places.count, table: table))
    }
}

package struct LowRankAddition {
    fileprivate let x: MatrixView
    fileprivate let y: MatrixView
    fileprivate let first: Int
    fileprivate let count: Int
    fileprivate let table: UnsafePointer<UnsafePointer<ck_low_rank>?>

    func apply(_ row: Int) {
        guard let changes = table[row] else { return }
        var out = y.base + row * y.stride
        for place in first..<first + count {
            if changes[place].rank > 0 { kernels.add_low_rank(changes + place, x.base + row * x.stride, out) }
            out += Int(changes[place].outputs)
        }
    }
}
