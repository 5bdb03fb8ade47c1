// Element by element operations on a row; out may be an operand.
import CKernels

/// out = f(x)
package struct RowMap {
    typealias Kernel = @convention(c) (UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int64) -> Void
    fileprivate let kernel: Kernel
    fileprivate let x: MatrixView
    fileprivate let out: MatrixView

    func apply(_ row: Int) { kernel(x.base + row * x.stride, out.base + row * out.stride, Int64(x.columns)) }
}

/// out = f(x, y)
package struct RowCombination {
    typealias Kernel =
        @convention(c) (UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int64) -> Void
    fileprivate let kernel: Kernel
    fileprivate let x: MatrixView
    fileprivate let y: MatrixView
    fileprivate let out: MatrixView

    func apply(_ row: Int) {
        kernel(x.base + row * x.stride, y.base + row * y.stride, out.base + row * out.stride, Int64(x.columns))
    }
}

/// out = f(x, number)
package struct RowScaling {
    typealias Kernel = @convention(c) (UnsafePointer<Float>?, Float, UnsafeMutablePointer<Float>?, Int64) -> Void
    fileprivate let kernel: Kernel
    fileprivate let x: MatrixView
    fileprivate let number: Float
    fileprivate let out: MatrixView

    func apply(_ row: Int) { kernel(x.base + row * x.stride, number, out.base + row * out.stride, Int64(x.columns)) }
}

extension RowOperation {
    /// out = gate / (1 + e^-gate) · up
    package static func siluProduct(_ gate: MatrixView, _ up: MatrixView, into out: MatrixView) -> RowOperation {
        combination(kernels.silu_product, gate, up, out)
    }

    /// out = gelu(gate) · up, the tanh form of gelu
    package static func geluProduct(_ gate: MatrixView, _ up: MatrixView, into out: MatrixView) -> RowOperation {
        combination(kernels.gelu_product, gate, up, out)
    }

    /// out = x + y
    package static func add(_ x: MatrixView, _ y: MatrixView, into out: MatrixView) -> RowOperation {
        combination(kernels.add, x, y, out)
    }

    /// out = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
    package static func gelu(_ x: MatrixView, into out: MatrixView) -> RowOperation {
        precondition(out.hasShape(of: x), "operands differ in shape")
        return .map(RowMap(kernel: kernels.gelu, x: x, out: out))
    }

    /// out = x · factor
    package static func scale(_ x: MatrixView, by factor: Float, into out: MatrixView) -> RowOperation {
        precondition(out.hasShape(of: x), "operands differ in shape")
        return .scale(RowScaling(kernel: kernels.scale, x: x, number: factor, out: out))
    }

    /// out = cap · tanh(x / cap), cap > 0
    package static func softcap(_ x: MatrixView, cap: Float, into out: MatrixView) -> RowOperation {
        precondition(out.hasShape(of: x) && cap > 0, "cap \(cap), or operands differ in shape")
        return .scale(RowScaling(kernel: kernels.softcap, x: x, number: cap, out: out))
    }

    private static func combination(
        _ kernel: @escaping RowCombination.Kernel, _ x: MatrixView, _ y: MatrixView, _ out: MatrixView
    ) -> RowOperation {
        precondition(x.hasShape(of: y) && out.hasShape(of: x), "operands differ in shape")
        return .combine(RowCombination(kernel: kernel, x: x, y: y, out: out))
    }
}
