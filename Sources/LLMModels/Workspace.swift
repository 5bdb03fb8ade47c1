// The memory that one step works in, allocated once: a step allocates nothing.
import LLMKernels

package final class Workspace {
    package let maximumRows: Int
    package let maximumLogitRows: Int
    /// [maximumLogitRows, vocabulary]: the answer of `LanguageModel.logits`.
    package let logits: AlignedBuffer<Float>
    /// The residual stream [rows, hidden].
    let hidden: AlignedBuffer<Float>
    /// A normalised copy of it, or what is to be added to it [rows, hidden].
    let normed: AlignedBuffer<Float>
    /// Queries, keys and values beside one another [rows, (H + 2G)·D].
    let queryKeyValue: AlignedBuffer<Float>
    /// Output of attention [rows, H·D].
    let attended: AlignedBuffer<Float>
    /// Gate and up beside one another [rows, 2·intermediate].
    let gateUp: AlignedBuffer<Float>
    let quantized: QuantizedRows
    let attentionScratch: AttentionScratch
    let rows = PagedRows()
    /// Changes of the rows whose sequences have adapters.
    let changes: LowRankRows

    init(
        _ configuration: ModelConfiguration, maximumRows: Int, maximumLogitRows: Int, layout: KVLayout, team: ThreadTeam
    ) {
        self.maximumRows = maximumRows
        self.maximumLogitRows = maximumLogitRows
        let width = configuration.querySize + 2 * configuration.keyValueSize
        changes = LowRankRows(maximumRows: maximumRows)
        logits = AlignedBuffer(count: maximumLogitRows * configuration.vocabularySize)
        hidden = AlignedBuffer(count: maximumRows * configuration.hiddenSize)
        normed = AlignedBuffer(count: maximumRows * configuration.hiddenSize)
        queryKeyValue = AlignedBuffer(count: maximumRows * width)
        attended = AlignedBuffer(count: maximumRows * configuration.querySize)
        gateUp = AlignedBuffer(count: maximumRows * 2 * configuration.intermediateSize)
        let widest = max(configuration.hiddenSize, configuration.querySize, configuration.intermediateSize)
        quantized = QuantizedRows(maximumRows: maximumRows, maximumColumns: widest)
        attentionScratch = AttentionScratch(heads: configuration.headCount, layout: layout, team: team)
    }
}
