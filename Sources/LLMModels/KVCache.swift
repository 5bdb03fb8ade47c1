// The paged memory of keys and values: for each layer the same number of blocks of 16 tokens. Which block belongs to whom
// is the engine's business.
import LLMKernels

package final class KVCache {
    package let layout: KVLayout
    package let blockCount: Int
    let layers: [KVLayer]
    private let buffers: [AlignedBuffer<UInt8>]

    init(layers count: Int, blocks: Int, layout: KVLayout) {
        self.layout = layout
        blockCount = blocks
        let buffers = (0..<count).map { _ in AlignedBuffer<UInt8>(count: layout.blockBytes * blocks) }
        self.buffers = buffers
        layers = buffers.map { KVLayer(layout: layout, blockCount: blocks, buffer: $0) }
    }

    package var byteCount: Int { buffers.reduce(0) { $0 + $1.count } }
}
