// The paged key/value memory of one layer, in the order the attention kernel reads it.
import CKernels

/// How keys and values are kept. int8: each token's key and value of a head as integers of −127…127 times a float32.
package enum KVPrecision: String, Sendable, CaseIterable {
    case float32, float16, int8

    var code: ck_kv_precision {
        switch self {
        case .float32: ck_kv_float32
        case .float16: ck_kv_float16
        case .int8: ck_kv_int8
        }
    }
}

/// The shape of one block of 16 tokens: keys [kvHeads][headSize][16 tokens], then values [kvHeads][16 tokens][headSize];
/// with int8 each head's scales follow it.
package struct KVLayout: Sendable, Equatable {
    package static let blockSize = ck_token_block

    package let kvHeads: Int
    package let headSize: Int
    package let precision: KVPrecision

    package init(kvHeads: Int, headSize: Int, precision: KVPrecision) {
        precondition(1...1 << 12 ~= kvHeads && 1...1 << 12 ~= headSize, "\(kvHeads) heads of \(headSize)")
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.precision = precision
    }

    /// Bytes of one block: keys and values of 16 tokens of one layer, a multiple of 64.
    package var blockBytes: Int { 2 * kvHeads * Int(ck_kv_head_bytes(Int32(headSize), precision.code)) }
}

/// One layer's blocks 0..<blockCount in a buffer that outlives this view.
package struct KVLayer {
    package let layout: KVLayout
    package let blockCount: Int
    let base: UnsafeMutablePointer<UInt8>

    package init(layout: KVLayout, blockCount: Int, buffer: AlignedBuffer<UInt8>, offset: Int = 0) {
        let (bytes, overflow) = layout.blockBytes.multipliedReportingOverflow(by: blockCount)
        precondition(blockCount > 0 && !overflow && offset >= 0 && offset % 64 == 0 && offset <= buffer.count)
        precondition(bytes <= buffer.count - offset, "\(blockCount) blocks exceed the buffer")
        self.layout = layout
        self.blockCount = blockCount
        base = buffer.base + offset
    }
}

package struct TokenStore {
    private let layer: KVLayer
    private let keys: MatrixView
    private let values: MatrixView
    private let rows: Unmanaged<PagedRows>

    fileprivate init(_ layer: KVLayer, _ keys: MatrixView, _ values: MatrixView, _ rows: PagedRows) {
        let width = layer.layout.kvHeads * layer.layout.headSize
        precondition(keys.columns == width && values.hasShape(of: keys), "keys and values of \(width) columns")
        precondition(keys.rows == rows.count && rows.blockCount <= layer.blockCount, "rows of another step")
        self.layer = layer
        self.keys = keys
        self.values = values
        self.rows = .passUnretained(rows)
    }

    func apply(_ row: Int) {
        let layout = layer.layout
        let (block, slot) = rows._withUnsafeGuaranteedRef { $0.place(of: row) }
        ck_store_token(
            layer.base + block * layout.blockBytes, Int32(layout.kvHeads), Int32(layout.headSize),
            layout.precision.code, Int32(slot),
            keys.base + row * keys.stride, values.base + row * values.stride)
    }
}

extension RowOperation {
    /// Writes row r's key and value [kvHeads · headSize] to the place of its position.
    package static func store(
        keys: MatrixView, values: MatrixView, in layer: KVLayer, rows: PagedRows
    ) -> RowOperation {
        .store(TokenStore(layer, keys, values, rows))
    }
}
