// Memory that kernels read and write: 64-byte aligned, fixed size, zeroed.
import Foundation

/// Owned memory of `count` elements at a 64-byte boundary (large ones at a huge page, and their pages come from the system
/// when they are first used: a cache that is not used costs nothing). It is shared raw memory: who writes while others
/// read must order that, as the engine's steps and the thread team do.
package final class AlignedBuffer<Element: BitwiseCopyable>: @unchecked Sendable {
    package let base: UnsafeMutablePointer<Element>
    package let count: Int
    private let mappedBytes: Int?

    package init(count: Int) {
        let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        precondition(count >= 0 && !overflow && bytes < 1 << 46, "a buffer of \(count) elements")
        let isLarge = bytes >= 2 * LargeMemory.hugePage
        let memory = isLarge ? LargeMemory.map(bytes) : Self.small(bytes)
        mappedBytes = isLarge ? bytes : nil
        base = memory.bindMemory(to: Element.self, capacity: max(count, 1))
        self.count = count
    }

    private static func small(_ bytes: Int) -> UnsafeMutableRawPointer {
        var memory: UnsafeMutableRawPointer?
        guard posix_memalign(&memory, 64, bytes) == 0, let memory else { fatalError("no memory for \(bytes) bytes") }
        memset(memory, 0, bytes)
        return memory
    }

    package convenience init(_ values: [Element]) {
        self.init(count: values.count)
        values.withUnsafeBufferPointer { source in
            if let start = source.baseAddress { base.update(from: start, count: source.count) }
        }
    }

    deinit {
        if let mappedBytes { LargeMemory.unmap(base, mappedBytes) } else { free(base) }
    }

    package var elements: UnsafeMutableBufferPointer<Element> { .init(start: base, count: count) }
}

private enum LargeMemory {
    static let hugePage = 1 << 21

    /// Zeroed memory from a huge page's boundary on.
    static func map(_ bytes: Int) -> UnsafeMutableRawPointer {
        let size = rounded(bytes), reserved = size + hugePage
        guard
            let start = mmap(nil, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            start != MAP_FAILED
        else { fatalError("no memory for \(bytes) bytes") }
        let before = -Int(bitPattern: start) & (hugePage - 1)
        if before > 0 { munmap(start, before) }
        let memory = start + before
        munmap(memory + size, hugePage - before)
        // Panels are streamed front to back: fewer TLB misses, and the kernel may refuse without harm.
        madvise(memory, size, MADV_HUGEPAGE)
        return memory
    }

    static func unmap(_ memory: UnsafeMutableRawPointer, _ bytes: Int) { munmap(memory, rounded(bytes)) }

    /// Whole pages of 4 KiB: the last huge page may be a part of one.
    private static func rounded(_ bytes: Int) -> Int { (bytes + 4095) / 4096 * 4096 }
}

extension AlignedBuffer<Float> {
    /// Rows of this buffer as a matrix; stride (default: columns) counts elements from row to row.
    package func matrix(rows: Int, columns: Int, stride: Int? = nil, offset: Int = 0) -> MatrixView {
        let view = MatrixView(rows: rows, columns: columns, stride: stride ?? columns, base: base + offset)
        precondition(offset >= 0 && offset <= count && view.extent <= count - offset, "matrix exceeds its buffer")
        return view
    }
}

/// Row-major floats [rows, columns] in somebody else's memory, which must outlive the view.
package struct MatrixView {
    package let rows: Int
    package let columns: Int
    package let stride: Int
    package let base: UnsafeMutablePointer<Float>

    package init(rows: Int, columns: Int, stride: Int, base: UnsafeMutablePointer<Float>) {
        precondition(rows >= 0 && columns > 0 && stride >= columns, "matrix [\(rows), \(columns)], stride \(stride)")
        self.rows = rows
        self.columns = columns
        self.stride = stride
        self.base = base
    }

    /// Elements from the first to behind the last.
    package var extent: Int { rows == 0 ? 0 : (rows - 1) * stride + columns }

    package func row(_ index: Int) -> UnsafeMutableBufferPointer<Float> {
        precondition(0..<rows ~= index)
        return .init(start: base + index * stride, count: columns)
    }

    /// Columns `range` of every row.
    package func columns(_ range: Range<Int>) -> MatrixView {
        precondition(range.lowerBound >= 0 && range.upperBound <= columns)
        return MatrixView(rows: rows, columns: range.count, stride: stride, base: base + range.lowerBound)
    }

    /// Rows `range`.
    package func rows(_ range: Range<Int>) -> MatrixView {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows)
        return MatrixView(rows: range.count, columns: columns, stride: stride, base: base + range.lowerBound * stride)
    }

    func hasShape(of other: MatrixView) -> Bool { rows == other.rows && columns == other.columns }
}
