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

    /// Quantises a row of x (columns a multiple of 32), for the `matmul` of x that follows when all rows are done.
    package func quantize(_ x: MatrixView) -> RowOperation {
        precondition(x.rows <= maximumRows && x.columns <= maximumColumns, "x exceeds the scratch")
        precondition(x.columns % WeightLayout.blockSize == 0, "\(x.columns) columns are not whole 32-blocks")
        source = (x.rows, x.columns, x.base)
        return .quantize(RowQuantization(x: x, out: buffers))
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

package struct RowQuantization {
    fileprivate let x: MatrixView
    fileprivate let out: ck_quantized

    func apply(_ row: Int) {
        withUnsafePointer(to: out) { out in
            kernels.quantize_rows(x.base, Int64(x.stride), Int64(row), Int64(row + 1), Int64(x.columns), out)
        }
    }
}
