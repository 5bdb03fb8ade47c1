// A model in memory, ready to compute: embedding, layers, head.
import LLMKernels

/// Immutable; any number of engines may share it, each with a cache and a workspace of its own.
package final class LanguageModel: Sendable {
    package let configuration: ModelConfiguration
    package let precision: ComputePrecision
    private let embedding: PackedMatrix
    private let positionEmbedding: PackedMatrix?
    private let layers: [DecoderLayer]
    private let outputNorm: Norm
    /// The LM head, which is the embedding in a tied model.
    private let head: Linear

    /// Reads and packs all weights.
    package init(_ source: any ModelSource, precision: ComputePrecision, team: ThreadTeam) throws(ModelError) {
        let loader = WeightLoader(source: source, precision: precision, team: team)
        let configuration = source.configuration
        self.configuration = configuration
        self.precision = precision
        embedding = try loader.matrix(.tokenEmbedding)
        positionEmbedding = configuration.rotary == nil ? try loader.matrix(.positionEmbedding) : nil
        outputNorm = try loader.norm(.outputNorm, .outputNormBias)
        head = Linear(weights: configuration.isOutputTied ? embedding : try loader.matrix(.output), bias: nil)

        func table(_ parameters: RotaryParameters?) -> RoPETable? {
            parameters.map { RoPETable(frequencies: $0.frequencies, positions: configuration.contextLength) }
        }
        let rotary = table(configuration.rotary)
        let windowRotary =
            configuration.windowRotary == configuration.rotary ? rotary : table(configuration.windowRotary)
        var layers: [DecoderLayer] = []
        for (layer, window) in configuration.windows.enumerated() {
            layers.append(try DecoderLayer(loader, layer: layer, rotary: window == nil ? rotary : windowRotary))
        }
        self.layers = layers
    }

    /// How a cache keeps keys and values unless asked otherwise.
    package var cachePrecision: KVPrecision { precision == .reference ? .float32 : .float16 }

    private func keyValueLayout(_ precision: KVPrecision?) -> KVLayout {
        KVLayout(
            kvHeads: configuration.keyValueHeadCount, headSize: configuration.headSize,
            precision: precision ?? cachePrecision)
    }

    /// - Parameter precision: `cachePrecision` if nil.
    package func makeCache(blocks: Int, precision: KVPrecision? = nil) -> KVCache {
        KVCache(layers: configuration.layerCount, blocks: blocks, layout: keyValueLayout(precision))
    }

    /// Bytes of the packed weights; an embedding that is the head, too, counts once.
    package var weightBytes: Int {
        let ends = [embedding, positionEmbedding, head.weights === embedding ? nil : head.weights]
        return ends.reduce(0) { $0 + ($1?.byteCount ?? 0) } + layers.reduce(0) { $0 + $1.weightBytes }
    }

    /// Bytes of a cache when all of it is used.
    package func cacheBytes(blocks: Int, precision: KVPrecision? = nil) -> Int {
        configuration.layerCount * blocks * keyValueLayout(precision).blockBytes
    }

    package func makeWorkspace(maximumRows: Int, maximumLogitRows: Int, team: ThreadTeam) -> Workspace {
        Workspace(
            configuration, maximumRows: maximumRows, maximumLogitRows: maximumLogitRows, layout: keyValueLayout(nil),
            team: team)
    }

    /// One step: writes keys and values of every row into the cache.
    /// - Returns: states of the output rows after the last norm [batch.outputRows.count, hidden], for `logits`; they last
    ///   until the next step. A row's state depends on its sequence alone, bit for bit.
    @discardableResult
    package func forward(_ batch: StepBatch, cache: KVCache, work: Workspace, team: ThreadTeam) -> MatrixView {
        let rows = batch.tokens.count
        precondition(rows <= work.maximumRows && batch.outputRows.count <= rows, "rows of the step")
        precondition(batch.positions.count == rows && batch.sequences.count == rows, "a row lacks its place")
        let states = work.normed.matrix(rows: batch.outputRows.count, columns: configuration.hiddenSize)
        guard rows > 0 else { return states }
        work.rows.assign(positions: batch.positions, sequences: batch.sequences, blockTables: batch.blockTables)
        assignAdapters(batch, work)
        let x = work.hidden.matrix(rows: rows, columns: configuration.hiddenSize)
        embed(batch, into: x, work, team)
        for (layer, memory) in zip(layers, cache.layers) {
            layer.forward(x, configuration, cache: memory, work, team)
        }
        for (place, row) in batch.outputRows.enumerated() {
            states.row(place).baseAddress!.update(from: x.row(Int(row)).baseAddress!, count: x.columns)
        }
        team.eachRow(states.rows, columns: 2 * x.columns, outputNorm(states, into: states))
        return states
    }

    /// Logits [states.rows, vocabulary] in `work.logits`, of states that `forward` returned.
    package func logits(_ states: MatrixView, work: Workspace, team: ThreadTeam) {
        precondition(states.rows <= work.maximumLogitRows, "more rows than there is room for")
        guard states.rows > 0 else { return }
        team.eachRow(states.rows, columns: states.columns, work.quantized.quantize(states, for: head))
        let logits = work.logits.matrix(rows: states.rows, columns: configuration.vocabularySize)
        matmul(states, work.quantized, head.output(logits), team: team)
        if let cap = configuration.finalSoftcap {
            team.eachRow(states.rows, columns: logits.columns, .softcap(logits, cap: cap, into: logits))
        }
    }

    private func assignAdapters(_ batch: StepBatch, _ work: Workspace) {
        work.changes.clear()
        guard !batch.adapters.isEmpty else { return }
        for (row, sequence) in batch.sequences.enumerated() where Int(sequence) < batch.adapters.count {
            guard let adapter = batch.adapters[Int(sequence)] else { continue }
            work.changes.assign(adapter.changes, to: row)
        }
    }

    private func embed(_ batch: StepBatch, into x: MatrixView, _ work: Workspace, _ team: ThreadTeam) {
        for (row, token) in batch.tokens.enumerated() { embedding.copyRow(Int(token), to: x.row(row)) }
        if configuration.embeddingScale != 1 {
            team.eachRow(x.rows, columns: x.columns, .scale(x, by: configuration.embeddingScale, into: x))
        }
        if let positionEmbedding {
            let places = work.normed.matrix(rows: x.rows, columns: x.columns)
            for (row, position) in batch.positions.enumerated() {
                positionEmbedding.copyRow(Int(position), to: places.row(row))
            }
            team.eachRow(x.rows, columns: x.columns, .add(x, places, into: x))
        }
    }
}
