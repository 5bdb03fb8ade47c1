// Rotary position embedding (Su et al. 2021): tables per position, and the rotation in both element orders.
import CKernels
import Foundation
import Synchronization

package enum RoPEStyle: String, Sendable {
    /// Pairs (2i, 2i + 1): GGUF files of the llama family.
    case interleaved
    /// Pairs (i, i + d/2): Hugging Face folders.
    case halves
}

/// cos and sin of position · frequency, computed in double: for the first positions at once, for later ones when a row
/// comes that far. A long context that nobody uses costs nothing.
package final class RoPETable: @unchecked Sendable {
    /// Positions that are computed together.
    private static let blockSize = 1024

    package let pairs: Int
    package let positions: Int
    private let frequencies: [Double]
    private let magnitude: Double
    /// Block → [cosine, sine][position in it][pair]; those below `filled` never change.
    private let blocks: UnsafeMutableBufferPointer<UnsafeMutablePointer<Float>?>
    private let filled = Atomic(0)
    private let filling = Mutex(())

    /// `frequencies`: radians per position of each pair, after any scaling; `magnitude` multiplies both tables (YaRN).
    package init(frequencies: [Double], positions: Int, magnitude: Double = 1) {
        precondition(!frequencies.isEmpty && positions > 0 && positions < 1 << 24)
        pairs = frequencies.count
        self.positions = positions
        self.frequencies = frequencies
        self.magnitude = magnitude
        blocks = .allocate(capacity: (positions + Self.blockSize - 1) / Self.blockSize)
        blocks.initialize(repeating: nil)
        fill(through: 0)
    }

    deinit {
        for block in blocks { block?.deallocate() }
        blocks.deallocate()
    }

    /// Computes what rows up to this position need. Any thread may call it.
    fileprivate func fill(through position: Int) {
        let wanted = position / Self.blockSize + 1
        if filled.load(ordering: .acquiring) >= wanted { return }
        filling.withLock { _ in
            for block in filled.load(ordering: .relaxed)..<max(wanted, filled.load(ordering: .relaxed)) {
                blocks[block] = makeBlock(block)
                filled.store(block + 1, ordering: .releasing)
            }
        }
    }

    private func makeBlock(_ block: Int) -> UnsafeMutablePointer<Float> {
        let first = block * Self.blockSize, size = Self.blockSize * pairs
        let memory = UnsafeMutablePointer<Float>.allocate(capacity: 2 * size)
        memory.initialize(repeating: 0, count: 2 * size)
        for position in first..<min(positions, first + Self.blockSize) {
            for (pair, frequency) in frequencies.enumerated() {
                let angle = Double(position) * frequency
                memory[(position - first) * pairs + pair] = Float(cos(angle) * magnitude)
                memory[size + (position - first) * pairs + pair] = Float(sin(angle) * magnitude)
            }
        }
        return memory
    }

    /// Frequencies base^(-2i / dimensions) for `dimensions` rotated elements per head.
    package static func frequencies(base: Double, dimensions: Int) -> [Double] {
        precondition(dimensions > 0 && dimensions % 2 == 0)
        return (0..<dimensions / 2).map { pow(base, -2 * Double($0) / Double(dimensions)) }
    }

    fileprivate func angles(_ position: Int32) -> (cosine: UnsafePointer<Float>, sine: UnsafePointer<Float>) {
        let (block, place) = Int(position).quotientAndRemainder(dividingBy: Self.blockSize)
        let cosine = UnsafePointer(blocks[block]! + place * pairs)
        return (cosine, cosine + Self.blockSize * pairs)
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
        table.fill(through: max(0, rows.largestPosition))
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
