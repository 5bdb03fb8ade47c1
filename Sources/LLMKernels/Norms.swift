// RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016) of a row.
import CKernels

package struct RMSNorm {
    private let x: MatrixView
    private let weight: UnsafePointer<Float>
    private let size: Int
    private let epsilon: Float
    private let out: MatrixView

    fileprivate init(_ x: MatrixView, _ weight: AlignedBuffer<Float>, _ epsilon: Float, _ out: MatrixView) {
        precondition(out.hasShape(of: x) && weight.count > 0, "norm into another shape")
        precondition(x.columns % weight.count == 0, "norm of \(x.columns) columns by \(weight.count)")
        self.x = x
        self.weight = .init(weight.base)
        size = weight.count
        self.epsilon = epsilon
        self.out = out
    }

    func apply(_ row: Int) {
        let from = x.base + row * x.stride, to = out.base + row * out.stride
        for group in stride(from: 0, to: x.columns, by: size) {
            kernels.rms_norm(from + group, weight, epsilon, to + group, Int64(size))
        }
    }
}

package struct LayerNorm {
    private let x: MatrixView
    private let weight: UnsafePointer<Float>
    private let bias: UnsafePointer<Float>?
    private let epsilon: Float
    private let out: MatrixView

    fileprivate init(
        _ x: MatrixView, _ weight: AlignedBuffer<Float>, _ bias: AlignedBuffer<Float>?, _ epsilon: Float,
        _ out: MatrixView
    ) {
        precondition(out.hasShape(of: x) && weight.count == x.columns && bias?.count ?? x.columns == x.columns)
        self.x = x
        self.weight = .init(weight.base)
        self.bias = bias.map { .init($0.base) }
        self.epsilon = epsilon
        self.out = out
    }

    func apply(_ row: Int) {
        kernels.layer_norm(
            x.base + row * x.stride, weight, bias, epsilon, out.base + row * out.stride, Int64(x.columns))
    }
}

extension RowOperation {
    /// out = x / sqrt(mean(x²) + epsilon) · weight over groups of weight.count columns: one group per row normally, one
    /// per head for query and key norms. weight is the factor itself (Gemma's 1 + w is added at load). out may be x.
    package static func rmsNorm(
        _ x: MatrixView, weight: AlignedBuffer<Float>, epsilon: Float, into out: MatrixView
    ) -> RowOperation {
        .rmsNorm(RMSNorm(x, weight, epsilon, out))
    }

    /// out = (x - mean) / sqrt(variance + epsilon) · weight + bias. out may be x.
    package static func layerNorm(
        _ x: MatrixView, weight: AlignedBuffer<Float>, bias: AlignedBuffer<Float>?, epsilon: Float,
        into out: MatrixView
    ) -> RowOperation {
        .layerNorm(LayerNorm(x, weight, bias, epsilon, out))
    }
}
