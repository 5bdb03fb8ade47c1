// Weights as the kernels read them: panels of 16 outputs, filled row by row. The layout is described in CKernels.h.
import CKernels

package enum WeightLayout: String, Sendable, CaseIterable {
    case float32, float16, bfloat16
    /// Signed bytes with a scale, and optionally a minimum, per 32-block.
    case int8
    /// Values 0...15 with scale and minimum per 32-block.
    case int4

    package static let blockSize = ck_block
    /// Whether inputs are quantised for it.
    package var isInteger: Bool { self == .int8 || self == .int4 }
}

/// W [rows = outputs N, columns = inputs K], immutable.
package final class PackedMatrix: Sendable {
    package let rows: Int
    package let columns: Int
    package let layout: WeightLayout
    package let hasMinimums: Bool
    private let memory: AlignedBuffer<UInt8>
    nonisolated(unsafe) package let matrix: ck_matrix

    fileprivate init(_ matrix: ck_matrix, layout: WeightLayout, memory: AlignedBuffer<UInt8>) {
        rows = Int(matrix.rows)
        columns = Int(matrix.columns)
        self.layout = layout
        hasMinimums = matrix.layout == ck_int4 || matrix.layout == ck_int8_minimum
        self.memory = memory
        self.matrix = matrix
    }

    package var byteCount: Int { memory.count }

    /// Row n as floats: the exact value of the float layouts, fma(q, scale, minimum) of the integer ones.
    package func copyRow(_ n: Int, to out: UnsafeMutableBufferPointer<Float>) {
        precondition(0..<rows ~= n && out.count == columns, "row \(n) of \(rows), \(out.count) of \(columns) columns")
        withUnsafePointer(to: matrix) { ck_unpack_row($0, Int64(n), out.baseAddress) }
    }
}

/// Fills a packed matrix row by row, so that a model file is never held twice. Rows not set are zero.
package struct PackedMatrixBuilder: ~Copyable {
    private let matrix: ck_matrix
    private let layout: WeightLayout
    private let memory: AlignedBuffer<UInt8>

    /// `minimums`: whether int8 blocks have a minimum (int4 blocks always do).
    /// - Throws: `columnsNotInBlocks` for integer layouts if columns is no multiple of 32; `shapeOutOfRange`.
    package init(rows: Int, columns: Int, layout: WeightLayout, minimums: Bool = false) throws(KernelError) {
        guard 1...1 << 31 ~= rows, 1...1 << 31 ~= columns else { throw .shapeOutOfRange(rows: rows, columns: columns) }
        if layout.isInteger && columns % WeightLayout.blockSize != 0 {
            throw .columnsNotInBlocks(layout: layout, columns: columns)
        }
        let code =
            switch layout {
            case .float32: ck_float32
            case .float16: ck_float16
            case .bfloat16: ck_bfloat16
            case .int8: minimums ? ck_int8_minimum : ck_int8
            case .int4: ck_int4
            }
        let panelBytes = Int(ck_panel_bytes(code, Int64(columns)))
        let panels = (rows + ck_panel - 1) / ck_panel
        let (bytes, overflow) = panels.multipliedReportingOverflow(by: panelBytes)
        guard !overflow, bytes < 1 << 46 else { throw .shapeOutOfRange(rows: rows, columns: columns) }
        memory = AlignedBuffer(count: bytes)
        self.layout = layout
        matrix = ck_matrix(
            rows: Int64(rows), columns: Int64(columns), panel_bytes: Int64(panelBytes), layout: code,
            panels: UnsafeMutableRawPointer(memory.base))
    }

    /// Float layouts convert (round to nearest even); int8 quantises symmetrically per 32-block. Not for int4.
    package mutating func setRow(_ n: Int, floats: UnsafeBufferPointer<Float>) {
        precondition(layout != .int4, "int4 rows come quantised")
        precondition(0..<Int(matrix.rows) ~= n && floats.count == Int(matrix.columns), "row \(n)")
        withUnsafePointer(to: matrix) { ck_pack_floats($0, Int64(n), floats.baseAddress) }
    }

    /// w = q · scale + minimum; q is K values of 0...15, scales and minimums one per 32-block.
    package mutating func setRow(
        _ n: Int, int4 q: UnsafeBufferPointer<UInt8>, scales: UnsafeBufferPointer<Float>,
        minimums: UnsafeBufferPointer<Float>
    ) {
        precondition(layout == .int4)
        setBlocks(n, q, scales, minimums)
    }

    /// w = q · scale (+ minimum, which must be there exactly if the builder was made with `minimums`).
    package mutating func setRow(
        _ n: Int, int8 q: UnsafeBufferPointer<Int8>, scales: UnsafeBufferPointer<Float>,
        minimums: UnsafeBufferPointer<Float>? = nil
    ) {
        precondition(layout == .int8 && (minimums != nil) == (matrix.layout == ck_int8_minimum))
        q.withMemoryRebound(to: UInt8.self) { setBlocks(n, $0, scales, minimums) }
    }

    private func setBlocks(
        _ n: Int, _ q: UnsafeBufferPointer<UInt8>, _ scales: UnsafeBufferPointer<Float>,
        _ minimums: UnsafeBufferPointer<Float>?
    ) {
        let columns = Int(matrix.columns), blocks = columns / WeightLayout.blockSize
        precondition(0..<Int(matrix.rows) ~= n && q.count == columns && scales.count == blocks, "row \(n)")
        precondition(minimums.map { $0.count == blocks } ?? true, "row \(n)")
        withUnsafePointer(to: matrix) {
            ck_pack_quantized($0, Int64(n), q.baseAddress, scales.baseAddress, minimums?.baseAddress)
        }
    }

    package consuming func finish() -> PackedMatrix { PackedMatrix(matrix, layout: layout, memory: memory) }
}
