// RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016), row by row.
import CKernels

/// out = x / sqrt(mean(x²) + epsilon) · weight over groups of weight.count columns: one group per row normally, one per
/// head for query and key norms. weight is the factor itself (Gemma's 1 + w is added at load). out may be x.
package func rmsNorm(
    _ x: MatrixView, weight: AlignedBuffer<Float>, epsilon: Float, into out: MatrixView, team: ThreadTeam
) {
    let size = weight.count
    precondition(out.hasShape(of: x) && size > 0 && x.columns % size == 0, "norm of \(x.columns) columns by \(size)")
    let operation = RMSNorm(x: x, weight: weight.base, size: size, epsilon: epsilon, out: out)
    forEachRow(x.rows, elements: x.rows * x.columns, team: team, operation)
}

private struct RMSNorm: RowOperation {
    let x: MatrixView
    let weight: UnsafePointer<Float>
    let size: Int
    let epsilon: Float
    let out: MatrixView

    func apply(_ row: Int) {
        let from = x.base + row * x.stride, to = out.base + row * out.stride
        for group in stride(from: 0, to: x.columns, by: size) {
            kernels.rms_norm(from + group, weight, epsilon, to + group, Int64(size))
        }
    }
}

/// out = (x - mean) / sqrt(variance + epsilon) · weight + bias. out may be x.
package func layerNorm(
    _ x: MatrixView, weight: AlignedBuffer<Float>, bias: AlignedBuffer<Float>?, epsilon: Float, into out: MatrixView,
    team: ThreadTeam
) {
    precondition(out.hasShape(of: x) && weight.count == x.columns && bias?.count ?? x.columns == x.columns)
    let operation = LayerNorm(x: x, weight: weight.base, bias: bias.map { .init($0.base) }, epsilon: epsilon, out: out)
    forEachRow(x.rows, elements: x.rows * x.columns, team: team, operation)
}

private struct LayerNorm: RowOperation {
    let x: MatrixView
    let weight: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    let epsilon: Float
    let out: MatrixView

    func apply(_ row: Int) {
        kernels.layer_norm(
            x.base + row * x.stride, weight, bias, epsilon, out.base + row * out.stride, Int64(x.columns))
    }
}
