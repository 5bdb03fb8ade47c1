// y = x · Wᵀ over packed weights, split over the team by panels or by rows.
import CKernels

/// One product of x: y[m, n] = Σ_k x[m, k] · W[n, k], plus bias[n], plus the old y[m, n] if `accumulates`.
package struct MatMulOutput {
    let weights: PackedMatrix
    let y: MatrixView
    let bias: AlignedBuffer<Float>?
    let accumulates: Bool

    package init(
        _ weights: PackedMatrix, into y: MatrixView, bias: AlignedBuffer<Float>? = nil, accumulates: Bool = false
    ) {
        precondition(y.columns == weights.rows, "y has \(y.columns) columns, W \(weights.rows) rows")
        precondition(bias.map { $0.count == weights.rows } ?? true, "bias")
        self.weights = weights
        self.y = y
        self.bias = bias
        self.accumulates = accumulates
    }
}

/// Products of one x [M, K] with up to three matrices, in one go. For integer layouts all rows of x have been through
/// `quantized.quantize(x)`. The value of a row depends on that row alone: not on M, threads, CPU level, or on which
/// matrices go together (see CKernels.h for the order of sums).
package func matmul(
    _ x: MatrixView, _ quantized: QuantizedRows, _ first: MatMulOutput, _ second: MatMulOutput? = nil,
    _ third: MatMulOutput? = nil, team: ThreadTeam
) {
    guard x.rows > 0 else { return }
    func job(_ output: MatMulOutput) -> ck_matmul {
        let weights = output.weights
        precondition(x.columns == weights.columns, "x has \(x.columns) columns, W \(weights.columns)")
        precondition(output.y.rows == x.rows, "y has \(output.y.rows) rows, x \(x.rows)")
        precondition(!weights.layout.isInteger || quantized.holds(x), "x was not quantised")
        return ck_matmul(
            weights: weights.matrix, x: x.base, x_stride: Int64(x.stride), quantized: quantized.buffers,
            y: output.y.base, y_stride: Int64(output.y.stride), bias: output.bias.map { UnsafePointer($0.base) },
            accumulate: output.accumulates ? 1 : 0)
    }
    var run = MatMulRun(rows: x.rows, first: job(first), second: second.map(job), third: third.map(job), team: team)
    let parts = team.parts(of: run.pieces, work: x.rows * x.columns * run.panels * Int(ck_panel), atLeast: 1 << 17)
    team.run(&run, parts: parts) { context, part, parts, _ in
        context!.assumingMemoryBound(to: MatMulRun.self).pointee.part(Int(part), of: Int(parts))
    }
}

private struct MatMulRun {
    /// Pieces of rows are whole groups of quantised rows.
    static let rowStep = Int(ck_row_group)
    /// Pairs of panels make whole tiles.
    static let panelStep = 2

    let rows: Int
    var first: ck_matmul
    var second: ck_matmul?
    var third: ck_matmul?
    /// Of all matrices.
    let panels: Int
    /// Split by rows instead of by panels.
    let byRows: Bool

    init(rows: Int, first: ck_matmul, second: ck_matmul?, third: ck_matmul?, team: ThreadTeam) {
        self.rows = rows
        self.first = first
        self.second = second
        self.third = third
        panels = first.panels + (second?.panels ?? 0) + (third?.panels ?? 0)
        byRows = panels < 4 * team.count && rows >= 4 * Self.rowStep * team.count
    }

    /// The finest cut.
    var pieces: Int {
        byRows ? (rows + Self.rowStep - 1) / Self.rowStep : (panels + Self.panelStep - 1) / Self.panelStep
    }

    mutating func part(_ part: Int, of parts: Int) {
        let ownRows = byRows ? share(rows, step: Self.rowStep, part: part, of: parts) : 0..<rows
        let ownPanels = byRows ? 0..<panels : share(panels, step: Self.panelStep, part: part, of: parts)
        first.multiply(ownRows, ownPanels, offset: 0)
        second?.multiply(ownRows, ownPanels, offset: first.panels)
        third?.multiply(ownRows, ownPanels, offset: first.panels + (second?.panels ?? 0))
    }
}

extension ck_matmul {
    fileprivate var panels: Int { (Int(weights.rows) + Int(ck_panel) - 1) / Int(ck_panel) }

    /// What of `chosen`, panels of all matrices, are panels of this one, which begin at `offset`.
    fileprivate mutating func multiply(_ rows: Range<Int>, _ chosen: Range<Int>, offset: Int) {
        let own = chosen.clamped(to: offset..<offset + panels)
        guard !own.isEmpty else { return }
        let isInteger = weights.layout.rawValue >= ck_int8.rawValue
        let kernel = isInteger ? kernels.matmul_integer! : kernels.matmul_float!
        // The rows of one pass stay in the L2 cache while the panels go by.
        let rowBytes = Int(weights.columns) * (isInteger ? 1 : 4), step = MatMulRun.rowStep
        let pass = max(1, (1 << 18) / rowBytes / step) * step
        for row in stride(from: rows.lowerBound, to: rows.upperBound, by: pass) {
            kernel(
                &self, Int64(row), Int64(min(row + pass, rows.upperBound)), Int64(own.lowerBound - offset),
                Int64(own.upperBound - offset))
        }
    }
}
