// y = x · Wᵀ over packed weights, split over the team by panels or by rows.
import CKernels

/// y[m, n] = Σ_k x[m, k] · W[n, k], plus bias[n], plus the old y[m, n] if `accumulate`. x [M, K], y [M, N].
/// The value of a row depends on that row alone: not on M, threads or CPU level (see CKernels.h for the order of sums).
/// `scratch` takes the quantised rows of x if W needs them.
package func matmul(
    _ x: MatrixView, _ weights: PackedMatrix, into y: MatrixView, bias: AlignedBuffer<Float>? = nil,
    accumulate: Bool = false, scratch: QuantizedRows, team: ThreadTeam
) {
    if weights.layout.isInteger { scratch.quantize(x, team: team) }
    matmul(x, weights, into: y, bias: bias, accumulate: accumulate, reusing: scratch, team: team)
}

/// The same for an x that `quantized.quantize(x)` was called for just before (needed for integer layouts only): several
/// matrices on the same input quantise it once.
package func matmul(
    _ x: MatrixView, _ weights: PackedMatrix, into y: MatrixView, bias: AlignedBuffer<Float>? = nil,
    accumulate: Bool = false, reusing quantized: QuantizedRows, team: ThreadTeam
) {
    precondition(x.columns == weights.columns, "x has \(x.columns) columns, W \(weights.columns)")
    precondition(y.columns == weights.rows && y.rows == x.rows, "y [\(y.rows), \(y.columns)] for N = \(weights.rows)")
    precondition(bias.map { $0.count == weights.rows } ?? true, "bias")
    precondition(!weights.layout.isInteger || quantized.holds(x), "x was not quantised")
    guard x.rows > 0 else { return }

    let job = ck_matmul(
        weights: weights.matrix, x: x.base, x_stride: Int64(x.stride), quantized: quantized.buffers, y: y.base,
        y_stride: Int64(y.stride), bias: bias.map { UnsafePointer($0.base) }, accumulate: accumulate ? 1 : 0)
    let panels = (weights.rows + ck_panel - 1) / ck_panel
    // The rows of one pass stay in the L2 cache while the panels go by.
    let rowBytes = x.columns * (weights.layout.isInteger ? 1 : 4)
    var run = MatMulRun(
        job: job, rows: x.rows, panels: panels, isInteger: weights.layout.isInteger,
        byRows: panels < 4 * team.count && x.rows >= 4 * MatMulRun.rowStep * team.count,
        pass: max(1, (1 << 18) / rowBytes / MatMulRun.rowStep) * MatMulRun.rowStep)
    let work = x.rows * weights.rows * weights.columns
    team.run(&run, alone: work < 1 << 17) { context, thread, threads in
        context!.assumingMemoryBound(to: MatMulRun.self).pointee.part(Int(thread), of: Int(threads))
    }
}

private struct MatMulRun {
    /// Rows of a pass or a thread are whole groups of quantised rows.
    static let rowStep = Int(ck_row_group)

    var job: ck_matmul
    let rows: Int
    let panels: Int
    let isInteger: Bool
    let byRows: Bool
    let pass: Int

    mutating func part(_ thread: Int, of threads: Int) {
        let ownRows = byRows ? share(rows, step: Self.rowStep, thread: thread, of: threads) : 0..<rows
        // Pairs of panels make whole tiles.
        let ownPanels = byRows ? 0..<panels : share(panels, step: 2, thread: thread, of: threads)
        let kernel = isInteger ? kernels.matmul_integer! : kernels.matmul_float!
        var row = ownRows.lowerBound
        while row < ownRows.upperBound && !ownPanels.isEmpty {
            let end = min(row + pass, ownRows.upperBound)
            kernel(&job, Int64(row), Int64(end), Int64(ownPanels.lowerBound), Int64(ownPanels.upperBound))
            row = end
        }
    }
}
