// One weight as it stands in a file, read row by row, so that a loader can repack it without holding it twice.

/// A matrix [rows, columns] or a vector [columns] in a mapped file.
package struct SourceTensor: Sendable {
    /// The name in the file, for messages.
    package let name: String
    /// [rows, columns], or [columns] of a vector: the canonical shape, storage quirks undone.
    package let shape: [Int]
    package let encoding: TensorEncoding
    let file: MappedFile
    /// Where the data begins, in bytes from the start of the file.
    let offset: Int
    let quirk: StorageQuirk

    /// The caller has checked that the data lies within the file and that rows are whole blocks.
    init(
        name: String, shape: [Int], encoding: TensorEncoding, file: MappedFile, offset: Int,
        quirk: StorageQuirk = .none
    ) {
        precondition((1...2).contains(shape.count) && (quirk != .transposed || encoding.blockSize == 1))
        self.name = name
        self.shape = shape
        self.encoding = encoding
        self.file = file
        self.offset = offset
        self.quirk = quirk
    }

    /// 1 for a vector.
    package var rows: Int { shape.count == 2 ? shape[0] : 1 }
    package var columns: Int { shape[shape.count - 1] }
    /// Bytes in the file.
    package var byteCount: Int { rows * encoding.rowBytes(columns)! }

    /// Says that these rows are not read again soon.
    func forget(_ rows: Range<Int>) {
        let rowBytes = encoding.rowBytes(columns)!
        // Each row of a transposed tensor is all over it.
        let whole = quirk == .transposed
        if whole && rows.upperBound < self.rows { return }
        file.forget(offset + (whole ? 0 : rows.lowerBound * rowBytes)..<offset + rows.upperBound * rowBytes)
    }

    /// Decodes row `row` into the first `columns` elements of `target`.
    package func copyRow(_ row: Int, to target: UnsafeMutableBufferPointer<Float>) {
        precondition(row >= 0 && row < rows && target.count >= columns)
        let target = target.baseAddress!
        switch quirk {
        case .none: encoding.dequantize(rowStart(row), count: columns, to: target)
        case .onePlus:
            encoding.dequantize(rowStart(row), count: columns, to: target)
            for column in 0..<columns { target[column] += 1 }
        case .transposed:
            // Stored [columns, rows]. Neighbouring rows share cache lines, which stay cached from one call to the next.
            let size = encoding.blockBytes
            let (start, stride) = (file.bytes.baseAddress! + offset + row * size, rows * size)
            for column in 0..<columns { target[column] = Dequantize.float(start + column &* stride, encoding) }
        }
    }

    /// All values, row by row; for vectors and small matrices.
    package func floats() -> [Float] {
        [Float](unsafeUninitializedCapacity: rows * columns) { buffer, count in
            for row in 0..<rows {
                copyRow(row, to: UnsafeMutableBufferPointer(rebasing: buffer[row * columns..<(row + 1) * columns]))
            }
            count = rows * columns
        }
    }

    /// The bytes of a row; not for a transposed tensor, whose rows are not in one piece.
    func rowStart(_ row: Int) -> UnsafeRawPointer {
        file.bytes.baseAddress! + offset + row * encoding.rowBytes(columns)!
    }
}

/// How a format stores a weight differently from the canonical form.
enum StorageQuirk: Sendable {
    case none
    /// [inputs, outputs] instead of [outputs, inputs]: GPT-2's Conv1D in Hugging Face checkpoints.
    case transposed
    /// w where 1 + w multiplies: Gemma's norms in Hugging Face checkpoints.
    case onePlus
}
