// Rotary position embedding (Su et al. 2021): tables per position, and the rotation in both element orders.
import CKernels
import Foundation

package enum RoPEStyle: String, Sendable {
    /// Pairs (2i, 2i + 1): GGUF files of the llama family.
    case interleaved
    /// Pairs (i, i + d/2): Hugging Face folders.
    case halves
}

/// cos and sin of position · frequency, computed in double.
package final class RoPETable: Sendable {
    package let pairs: Int
    package let positions: Int
    private let cosine: AlignedBuffer<Float>
    private let sine: AlignedBuffer<Float>

    /// `frequencies`: radians per position of each pair, after any scaling; `magnitude` multiplies both tables (YaRN).
    package init(frequencies: [Double], positions: Int, magnitude: Double = 1) {
        precondition(!frequencies.isEmpty && positions > 0 && positions < 1 << 24)
        pairs = frequencies.count
        self.positions = positions
        cosine = AlignedBuffer(count: positions * pairs)
        sine = AlignedBuffer(count: positions * pairs)
        for position in 0..<positions {
            for (pair, frequency) in frequencies.enumerated() {
                let angle = Double(position) * frequency
                cosine.base[position * pairs + pair] = Float(cos(angle) * magnitude)
                sine.base[position * pairs + pair] = Float(sin(angle) * magnitude)
            }
        }
    }

    /// Frequencies base^(-2i / dimensions) for `dimensions` rotated elements per head.
    package static func frequencies(base: Double, dimensions: Int) -> [Double] {
        precondition(dimensions > 0 && dimensions % 2 == 0)
        return (0..<dimensions / 2).map { pow(base, -2 * Double($0) / Double(dimensions)) }
    }

    fileprivate func angles(_ position: Int32) -> (cosine: UnsafePointer<Float>, sine: UnsafePointer<Float>) {
        (.init(cosine.base + Int(position) * pairs), .init(sine.base + Int(position) * pairs))
    }
}

package struct Rotation {
    private let table: Unmanaged<RoPETable>
    private let x: MatrixView
    private let rows: Unmanaged<PagedRows>
    private let headSize: Int
    private let style: RoPEStyle

    fileprivate init(_ table: RoPETable, _ x: MatrixView, _ rows: PagedRows, _ headSize: Int, _ style: RoPEStyle) {
        precondition(headSize >= 2 * table.pairs && x.columns % headSize == 0, "heads of \(headSize) in \(x.columns)")
        precondition(rows.count == x.rows && rows.largestPosition < table.positions, "positions")
        self.table = .passUnretained(table)
        self.x = x
        self.rows = .passUnretained(rows)
        self.headSize = headSize
        self.style = style
    }

    func apply(_ row: Int) {
        table._withUnsafeGuaranteedRef { table in
            let angles = rows._withUnsafeGuaranteedRef { table.angles($0.positions[row]) }
            let kernel = style == .halves ? kernels.rope_halves : kernels.rope_interleaved
            kernel!(
                x.base + row * x.stride, Int64(x.columns / headSize), Int64(headSize), Int64(table.pairs),
                angles.cosine, angles.sine)
        }
    }
}

extension RowOperation {
    /// Rotates x [rows, heads · headSize] in place, each row to its position. With fewer pairs than headSize / 2 the last
    /// elements of each head stay as they are (`halves` then pairs i with i + pairs). The table must outlive the operation.
    package static func rotate(
        _ x: MatrixView, by table: RoPETable, rows: PagedRows, headSize: Int, style: RoPEStyle
    ) -> RowOperation {
        .rotate(Rotation(table, x, rows, headSize, style))
    }
}
