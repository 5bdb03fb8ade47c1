// Element by element operations on matrices; out may be an operand.
import CKernels

/// out = gate / (1 + e^-gate) · up
package func siluProduct(_ gate: MatrixView, _ up: MatrixView, into out: MatrixView, team: ThreadTeam) {
    combine(gate, up, into: out, team: team, kernels.silu_product)
}

/// out = gelu(gate) · up, the tanh form of gelu
package func geluProduct(_ gate: MatrixView, _ up: MatrixView, into out: MatrixView, team: ThreadTeam) {
    combine(gate, up, into: out, team: team, kernels.gelu_product)
}

/// out = x + y
package func add(_ x: MatrixView, _ y: MatrixView, into out: MatrixView, team: ThreadTeam) {
    combine(x, y, into: out, team: team, kernels.add)
}

/// out = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
package func gelu(_ x: MatrixView, into out: MatrixView, team: ThreadTeam) {
    precondition(out.hasShape(of: x))
    forEachRow(x.rows, elements: x.rows * x.columns, team: team) { row in
        kernels.gelu(x.base + row * x.stride, out.base + row * out.stride, Int64(x.columns))
    }
}

/// out = x · factor
package func scale(_ x: MatrixView, by factor: Float, into out: MatrixView, team: ThreadTeam) {
    precondition(out.hasShape(of: x))
    forEachRow(x.rows, elements: x.rows * x.columns, team: team) { row in
        kernels.scale(x.base + row * x.stride, factor, out.base + row * out.stride, Int64(x.columns))
    }
}

/// out = cap · tanh(x / cap), cap > 0
package func softcap(_ x: MatrixView, cap: Float, into out: MatrixView, team: ThreadTeam) {
    precondition(out.hasShape(of: x) && cap > 0)
    forEachRow(x.rows, elements: x.rows * x.columns, team: team) { row in
        kernels.softcap(x.base + row * x.stride, cap, out.base + row * out.stride, Int64(x.columns))
    }
}

private typealias BinaryKernel =
    @convention(c) (UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int64) -> Void

private func combine(
    _ x: MatrixView, _ y: MatrixView, into out: MatrixView, team: ThreadTeam, _ kernel: BinaryKernel
) {
    precondition(x.hasShape(of: y) && out.hasShape(of: x), "operands differ in shape")
    forEachRow(x.rows, elements: x.rows * x.columns, team: team) { row in
        kernel(x.base + row * x.stride, y.base + row * y.stride, out.base + row * out.stride, Int64(x.columns))
    }
}
