// Element by element operations on matrices; out may be an operand.
import CKernels

/// out = gate / (1 + e^-gate) · up
package func siluProduct(_ gate: MatrixView, _ up: MatrixView, into out: MatrixView, team: ThreadTeam) {
    run(BinaryOperation(kernel: kernels.silu_product, x: gate, y: up, out: out), team)
}

/// out = gelu(gate) · up, the tanh form of gelu
package func geluProduct(_ gate: MatrixView, _ up: MatrixView, into out: MatrixView, team: ThreadTeam) {
    run(BinaryOperation(kernel: kernels.gelu_product, x: gate, y: up, out: out), team)
}

/// out = x + y
package func add(_ x: MatrixView, _ y: MatrixView, into out: MatrixView, team: ThreadTeam) {
    run(BinaryOperation(kernel: kernels.add, x: x, y: y, out: out), team)
}

/// out = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
package func gelu(_ x: MatrixView, into out: MatrixView, team: ThreadTeam) {
    precondition(out.hasShape(of: x))
    forEachRow(x.rows, elements: x.rows * x.columns, team: team, Gelu(x: x, out: out))
}

/// out = x · factor
package func scale(_ x: MatrixView, by factor: Float, into out: MatrixView, team: ThreadTeam) {
    run(NumberOperation(kernel: kernels.scale, x: x, number: factor, out: out), team)
}

/// out = cap · tanh(x / cap), cap > 0
package func softcap(_ x: MatrixView, cap: Float, into out: MatrixView, team: ThreadTeam) {
    precondition(cap > 0)
    run(NumberOperation(kernel: kernels.softcap, x: x, number: cap, out: out), team)
}

private struct Gelu: RowOperation {
    let x: MatrixView
    let out: MatrixView

    func apply(_ row: Int) { kernels.gelu(x.base + row * x.stride, out.base + row * out.stride, Int64(x.columns)) }
}

private struct BinaryOperation: RowOperation {
    typealias Kernel =
        @convention(c) (UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int64) -> Void
    let kernel: Kernel
    let x: MatrixView
    let y: MatrixView
    let out: MatrixView

    func apply(_ row: Int) {
        kernel(x.base + row * x.stride, y.base + row * y.stride, out.base + row * out.stride, Int64(x.columns))
    }
}

private struct NumberOperation: RowOperation {
    typealias Kernel = @convention(c) (UnsafePointer<Float>?, Float, UnsafeMutablePointer<Float>?, Int64) -> Void
    let kernel: Kernel
    let x: MatrixView
    let number: Float
    let out: MatrixView

    func apply(_ row: Int) {
        kernel(x.base + row * x.stride, number, out.base + row * out.stride, Int64(x.columns))
    }
}

private func run(_ operation: BinaryOperation, _ team: ThreadTeam) {
    let x = operation.x
    precondition(x.hasShape(of: operation.y) && operation.out.hasShape(of: x), "operands differ in shape")
    forEachRow(x.rows, elements: x.rows * x.columns, team: team, operation)
}

private func run(_ operation: NumberOperation, _ team: ThreadTeam) {
    let x = operation.x
    precondition(operation.out.hasShape(of: x), "operands differ in shape")
    forEachRow(x.rows, elements: x.rows * x.columns, team: team, operation)
}
