// Runs sequences through a model step by step, the way an engine does, with blocks from all over the cache.
import LLMKernels

import LLMModels

final class ForwardHarness {
    let model: LanguageModel
    let team: ThreadTeam
    private let cache: KVCache
    private let work: Workspace
    private var batch = StepBatch()
    private var freeBlocks: [Int32]
    private let maximumRows: Int

    /// - Parameter order: of the cache's blocks; ascending without one.
    init(
        _ model: LanguageModel, team: ThreadTeam, blocks: Int = 32, rows: Int = 64, logitRows: Int? = nil,
        order: (([Int32]) -> [Int32])? = nil
    ) {
        self.model = model
        self.team = team
        maximumRows = rows
        cache = model.makeCache(blocks: blocks)
        work = model.makeWorkspace(maximumRows: rows, maximumLogitRows: logitRows ?? rows, team: team)
        let blocks = Array(0..<Int32(blocks))
        freeBlocks = order?(blocks) ?? blocks
    }

    /// Blocks for this many tokens.
    func blockTable(tokens: Int) -> [Int32] {
        (0..<(tokens + 15) / 16).map { _ in freeBlocks.removeLast() }
    }

    func giveBack(_ table: [Int32], at place: Int) {
        freeBlocks.insert(contentsOf: table, at: place % (freeBlocks.count + 1))
    }

    struct Chunk {
        var tokens: ArraySlice<Int32>
        /// Position of the first.
        var start: Int
        var table: [Int32]
        /// Places within the chunk.
        var wanted: [Int]
        var adapter: LoRAAdapter?
    }

    /// One step over chunks of different sequences; the logits of the wanted places, chunk by chunk.
    func step(_ chunks: [Chunk]) -> [[[Float]]] {
        fill(chunks)
        forward()
        let width = model.configuration.vocabularySize
        var place = 0
        return chunks.map { chunk in
            chunk.wanted.map { _ in
                defer { place += 1 }
                return Array(work.logits.matrix(rows: place + 1, columns: width).row(place))
            }
        }
    }

    /// The same step `count` times over, for counting and timing.
    func repeatStep(_ chunks: [Chunk], count: Int) {
        fill(chunks)
        for _ in 0..<count { forward() }
    }

    private func forward() {
        model.logits(model.forward(batch, cache: cache, work: work, team: team), work: work, team: team)
    }

    private func fill(_ chunks: [Chunk]) {
        batch.tokens.removeAll(keepingCapacity: true)
        batch.positions.removeAll(keepingCapacity: true)
        batch.sequences.removeAll(keepingCapacity: true)
        batch.outputRows.removeAll(keepingCapacity: true)
        batch.blockTables = chunks.map(\.table)
        batch.adapters = chunks.map(\.adapter)
        for (sequence, chunk) in chunks.enumerated() {
            batch.outputRows += chunk.wanted.map { Int32(batch.tokens.count + $0) }
            batch.tokens += chunk.tokens
            batch.positions += chunk.tokens.indices.map { Int32(chunk.start + $0 - chunk.tokens.startIndex) }
            batch.sequences += chunk.tokens.map { _ in Int32(sequence) }
        }
    }

    /// Logits at some positions of a text that is computed from its beginning, as many tokens a step as fit.
    func logits(of text: [Int32], at positions: [Int], adapter: LoRAAdapter? = nil) -> [[Float]] {
        let table = blockTable(tokens: text.count)
        defer { giveBack(table, at: 0) }
        var result: [[Float]] = []
        for start in stride(from: 0, to: text.count, by: maximumRows) {
            let end = min(start + maximumRows, text.count)
            let wanted = positions.filter { start..<end ~= $0 }.map { $0 - start }
            let chunk = Chunk(tokens: text[start..<end], start: start, table: table, wanted: wanted, adapter: adapter)
            result += step([chunk])[0]
        }
        return result
    }

    /// The most likely tokens after a prompt, one step each.
    func greedy(after prompt: [Int32], count: Int) -> [Int32] {
        let table = blockTable(tokens: prompt.count + count)
        defer { giveBack(table, at: 0) }
        var (text, done) = (prompt, 0)
        while text.count < prompt.count + count {
            let end = min(done + maximumRows, text.count)
            let wanted = end == text.count ? [end - done - 1] : []
            let logits = step([Chunk(tokens: text[done..<end], start: done, table: table, wanted: wanted)])[0]
            done = end
            if let row = logits.first { text.append(Int32(row.withUnsafeBufferPointer { argmax($0) })) }
        }
        return Array(text[prompt.count...])
    }
}

func greatestDifference(_ a: [Float], _ b: [Float]) -> Float {
    precondition(a.count == b.count)
    return zip(a, b).reduce(0) { max($0, $1.0.isFinite ? abs($1.0 - $1.1) : .infinity) }
}
