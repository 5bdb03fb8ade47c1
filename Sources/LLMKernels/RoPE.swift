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

    /// Rotates x [rows, heads · headSize] in place; row r stands at positions[r]. With fewer pairs than headSize / 2 the
    /// last elements of each head stay as they are (`halves` then pairs i with i + pairs).
    package func rotate(_ x: MatrixView, positions: [Int32], headSize: Int, style: RoPEStyle, team: ThreadTeam) {
        precondition(headSize >= 2 * pairs && x.columns % headSize == 0, "heads of \(headSize) in \(x.columns) columns")
        precondition(positions.count == x.rows && positions.allSatisfy { 0..<Int32(self.positions) ~= $0 }, "positions")
        positions.withUnsafeBufferPointer { positions in
            guard let positions = positions.baseAddress else { return }
            let rotation = Rotation(
                kernel: style == .halves ? kernels.rope_halves : kernels.rope_interleaved, x: x, positions: positions,
                heads: Int64(x.columns / headSize), headSize: Int64(headSize), pairs: pairs, cosine: cosine.base,
                sine: sine.base)
            forEachRow(x.rows, elements: x.rows * x.columns, team: team, rotation)
        }
    }
}

private struct Rotation: RowOperation {
    typealias Kernel =
        @convention(c) (
            UnsafeMutablePointer<Float>?, Int64, Int64, Int64, UnsafePointer<Float>?, UnsafePointer<Float>?
        ) -> Void
    let kernel: Kernel
    let x: MatrixView
    let positions: UnsafePointer<Int32>
    let heads: Int64
    let headSize: Int64
    let pairs: Int
    let cosine: UnsafePointer<Float>
    let sine: UnsafePointer<Float>

    func apply(_ row: Int) {
        let angles = Int(positions[row]) * pairs
        kernel(x.base + row * x.stride, heads, headSize, Int64(pairs), cosine + angles, sine + angles)
    }
}
