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

    rows.withPointers { step in
        let job = ck_attention(
            queries: queries.base, query_stride: Int64(queries.stride), output: out.base,
            output_stride: Int64(out.stride), cache: layer.base, block_bytes: Int64(layout.blockBytes),
            kv_heads: Int32(layout.kvHeads), group: Int32(group), head_size: Int32(layout.headSize),
            precision: layout.precision.code,
            rows: Int64(rows.count), positions: step.positions, tables: step.tables, blocks: step.blocks,
            order: step.order, scale: parameters.scale, softcap: parameters.softcap ?? 0,
            window: Int32(clamping: parameters.window ?? 0))
        var run = AttentionRun(
            job: job, tiles: step.tiles, split: AttentionSplit(tiles: step.tiles.count, job: job, team: team),
            scratch: scratch.memory.base, floatsPerThread: scratch.floatsPerThread)
        let parts = team.parts(of: run.items, work: rows.contextTokens * queries.columns, atLeast: 1 << 13)
        team.run(&run, parts: parts) { context, part, parts, thread in
            let run = context!.assumingMemoryBound(to: AttentionRun.self)
            run.pointee.part(Int(part), of: Int(parts), thread: Int(thread))
        }
    }
}

/// How finely the work is cut: by tiles of rows where those suffice, then by K/V heads, then by query heads of a group.
private struct AttentionSplit {
    let kvHeads: Int
    let heads: Int

    init(tiles: Int, job: ck_attention, team: ThreadTeam) {
        let wanted = 4 * team.count
        kvHeads = tiles >= wanted ? 1 : Int(job.kv_heads)
        let rest = tiles * kvHeads
        heads = rest >= wanted ? 1 : min(Int(job.group), (wanted + rest - 1) / rest)
    }
}

private struct AttentionRun {
    var job: ck_attention
    let tiles: UnsafeBufferPointer<ck_attention_tile>
    let split: AttentionSplit
    let scratch: UnsafeMutablePointer<Float>
    let floatsPerThread: Int

    var items: Int { tiles.count * split.kvHeads * split.heads }

    mutating func part(_ part: Int, of parts: Int, thread: Int) {
        let kvHeads = Int(job.kv_heads), group = Int(job.group)
        for item in share(items, part: part, of: parts) {
            let tile = item / (split.kvHeads * split.heads)
            let kv = share(kvHeads, part: item / split.heads % split.kvHeads, of: split.kvHeads)
            let heads = share(group, part: item % split.heads, of: split.heads)
            kernels.attention(
                &job, tiles.baseAddress! + tile, Int32(kv.lowerBound), Int32(kv.upperBound), Int32(heads.lowerBound),
                Int32(heads.upperBound), scratch + thread * floatsPerThread)
        }
    }
}
