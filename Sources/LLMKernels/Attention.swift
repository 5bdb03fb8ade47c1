// Causal grouped-query attention over the paged cache.
import CKernels

/// What varies between models and layers.
package struct AttentionParameters: Sendable {
    /// Multiplies q·k.
    package var scale: Float
    /// A row at position p sees positions p - window < t ≤ p; nil: all up to p.
    package var window: Int?
    /// Scores become softcap · tanh(score / softcap).
    package var softcap: Float?

    package init(scale: Float, window: Int? = nil, softcap: Float? = nil) {
        self.scale = scale
        self.window = window
        self.softcap = softcap
    }
}

/// The memory that attention works in: for `heads` query heads on a layout, and a team.
package final class AttentionScratch {
    let floatsPerThread: Int
    let threads: Int
    let memory: AlignedBuffer<Float>

    package init(heads: Int, layout: KVLayout, team: ThreadTeam) {
        precondition(heads > 0 && heads % layout.kvHeads == 0, "\(heads) heads over \(layout.kvHeads)")
        let floats = ck_attention_scratch(Int64(PagedRows.tile * heads / layout.kvHeads), Int32(layout.headSize))
        floatsPerThread = (Int(floats) + 15) / 16 * 16
        threads = team.count
        memory = AlignedBuffer(count: floatsPerThread * threads)
    }
}

/// out [rows, heads · headSize] = softmax(scale · q Kᵀ) V for each row and head; query head h reads K/V head
/// h / (heads / kvHeads). The rows' own keys and values are already in the layer. A row's value depends on that row and its
/// sequence alone.
package func attention(
    _ queries: MatrixView, layer: KVLayer, rows: PagedRows, parameters: AttentionParameters, into out: MatrixView,
    scratch: AttentionScratch, team: ThreadTeam
) {
    let layout = layer.layout
    let heads = queries.columns / layout.headSize, group = heads / layout.kvHeads
    precondition(queries.columns == group * layout.kvHeads * layout.headSize && group > 0, "queries' columns")
    precondition(out.hasShape(of: queries) && queries.rows == rows.count, "rows of another step")
    precondition(rows.blockCount <= layer.blockCount, "a block table exceeds the layer")
    precondition((parameters.window ?? 1) > 0 && (parameters.softcap ?? 1) > 0, "window and softcap are positive")
    let needed = ck_attention_scratch(Int64(PagedRows.tile * group), Int32(layout.headSize))
    precondition(scratch.threads >= team.count && scratch.floatsPerThread >= Int(needed), "scratch of another shape")
    guard rows.count > 0 else { return }

    rows.positions.withUnsafeBufferPointer { positions in
        rows.tables.withUnsafeBufferPointer { tables in
            rows.blocks.withUnsafeBufferPointer { blocks in
                rows.tiles.withUnsafeBufferPointer { tiles in
                    let job = ck_attention(
                        queries: queries.base, query_stride: Int64(queries.stride), output: out.base,
                        output_stride: Int64(out.stride), cache: layer.base, block_bytes: Int64(layout.blockBytes),
                        value_offset: Int64(layout.valueOffset), kv_heads: Int32(layout.kvHeads),
                        group: Int32(group), head_size: Int32(layout.headSize),
                        half_precision: layout.precision == .float16 ? 1 : 0, positions: positions.baseAddress,
                        tables: tables.baseAddress, blocks: blocks.baseAddress, scale: parameters.scale,
                        softcap: parameters.softcap ?? 0, window: Int32(clamping: parameters.window ?? 0))
                    // With few rows and heads the query heads of a group are shared out too.
                    let wide = (tiles.count - 1) * layout.kvHeads
                    let parts = min(group, wide >= 2 * team.count ? 1 : (2 * team.count + wide - 1) / wide)
                    var run = AttentionRun(
                        job: job, tiles: tiles, parts: parts, scratch: scratch.memory.base,
                        floatsPerThread: scratch.floatsPerThread)
                    let context = positions.reduce(0) { $0 + Int($1) + 1 }
                    team.run(&run, alone: context * queries.columns < 1 << 14) { context, thread, threads in
                        context!.assumingMemoryBound(to: AttentionRun.self).pointee.part(Int(thread), of: Int(threads))
                    }
                }
            }
        }
    }
}

private struct AttentionRun {
    var job: ck_attention
    let tiles: UnsafeBufferPointer<Int32>
    let parts: Int
    let scratch: UnsafeMutablePointer<Float>
    let floatsPerThread: Int

    /// Every n-th item, so that long and short sequences spread evenly.
    mutating func part(_ thread: Int, of threads: Int) {
        let kvHeads = Int(job.kv_heads), group = Int(job.group)
        let items = (tiles.count - 1) * kvHeads * parts
        for item in stride(from: thread, to: items, by: threads) {
            let tile = item / (kvHeads * parts), kvHead = item / parts % kvHeads
            let heads = share(group, thread: item % parts, of: parts)
            kernels.attention(
                &job, Int64(tiles[tile]), Int64(tiles[tile + 1]), Int32(kvHead), Int32(heads.lowerBound),
                Int32(heads.upperBound), scratch + thread * floatsPerThread)
        }
    }
}
