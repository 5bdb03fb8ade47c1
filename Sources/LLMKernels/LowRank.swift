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
    nonisolated(unsafe) fileprivate let list: UnsafeMutablePointer<ck_low_rank>
    private let memory: AlignedBuffer<Float>

    package init(_ matrices: [LowRankMatrix]) {
        count = matrices.count
        list = .allocate(capacity: max(1, count))
        memory = AlignedBuffer(count: max(1, matrices.reduce(0) { $0 + $1.packedCount }))
        var free = memory.base
        for (place, matrix) in matrices.enumerated() {
            let b = free + matrix.packedA
            matrix.pack(a: free, b: b)
            (list + place).initialize(
                to: ck_low_rank(
                    inputs: Int64(matrix.inputs), outputs: Int64(matrix.outputs), rank: Int64(matrix.rank), a: free,
                    b: b))
            free += matrix.packedCount
        }
    }

    deinit { list.deallocate() }

    func entry(_ place: Int) -> UnsafePointer<ck_low_rank> {
        precondition(0..<count ~= place)
        return UnsafePointer(list + place)
    }

    package var byteCount: Int { memory.count * MemoryLayout<Float>.stride }
}

extension LowRankMatrix {
    private var stride: Int { (inputs + 15) / 16 * 16 }
    fileprivate var packedA: Int { (rank + Int(ck_rank_group) - 1) / Int(ck_rank_group) * Int(ck_rank_group) * stride }
    private var packedB: Int { (outputs + 15) / 16 * 16 * rank }
    fileprivate var packedCount: Int { packedA + packedB }

    /// Into zeroed memory, as CKernels.h describes it.
    fileprivate func pack(a packedA: UnsafeMutablePointer<Float>, b packedB: UnsafeMutablePointer<Float>) {
        for j in 0..<rank {
            for i in 0..<inputs { packedA[j * stride + i] = a[j * inputs + i] }
            for n in 0..<outputs { packedB[(n / 16 * rank + j) * 16 + n % 16] = b[n * rank + j] }
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
        table[row] = UnsafePointer(changes.list)
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
