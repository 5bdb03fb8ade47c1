// Inputs of integer matmuls: rows quantised to int8 per 32-block, once for all matrices that read them.
import CKernels

/// Scratch for up to `maximumRows` × `maximumColumns` quantised inputs; reused from matmul to matmul.
package final class QuantizedRows {
    private let maximumRows: Int
    private let maximumColumns: Int
    private let values: AlignedBuffer<Int8>
    private let scales: AlignedBuffer<Float>
    private let sums: AlignedBuffer<Float>
    private let offsets: AlignedBuffer<Int32>
    private var source: (rows: Int, columns: Int, base: UnsafeMutablePointer<Float>)?

    package init(maximumRows: Int, maximumColumns: Int) {
        precondition(maximumRows > 0 && maximumColumns > 0)
        let blocks = (maximumColumns + WeightLayout.blockSize - 1) / WeightLayout.blockSize
        self.maximumRows = maximumRows
        self.maximumColumns = blocks * WeightLayout.blockSize
        values = AlignedBuffer(count: maximumRows * self.maximumColumns)
        scales = AlignedBuffer(count: maximumRows * blocks)
        sums = AlignedBuffer(count: maximumRows * blocks)
        offsets = AlignedBuffer(count: maximumRows * blocks)
    }

    /// Quantises every row of x (columns a multiple of 32) for the `matmul(_:_:into:…reusing:…)` calls that follow.
    package func quantize(_ x: MatrixView, team: ThreadTeam) {
        precondition(x.rows <= maximumRows && x.columns <= maximumColumns, "x exceeds the scratch")
        precondition(x.columns % WeightLayout.blockSize == 0, "\(x.columns) columns are not whole 32-blocks")
        source = (x.rows, x.columns, x.base)
        var run = QuantizeRun(x: x, out: buffers)
        team.run(&run, alone: x.rows == 1 || x.rows * x.columns < 1 << 14) { context, thread, threads in
            let run = context!.assumingMemoryBound(to: QuantizeRun.self)
            let x = run.pointee.x
            let rows = share(x.rows, thread: Int(thread), of: Int(threads))
            kernels.quantize_rows(
                x.base, Int64(x.stride), Int64(rows.lowerBound), Int64(rows.upperBound), Int64(x.columns),
                &run.pointee.out)
        }
    }

    func holds(_ x: MatrixView) -> Bool {
        source.map { $0.rows == x.rows && $0.columns == x.columns && $0.base == x.base } ?? false
    }

    var buffers: ck_quantized {
        ck_quantized(
            rows: Int64(source?.rows ?? 0), values: values.base, scales: scales.base, sums: sums.base,
            offsets: offsets.base)
    }
}

private struct QuantizeRun {
    var x: MatrixView
    var out: ck_quantized
}
