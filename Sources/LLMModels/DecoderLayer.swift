// One layer of a decoder: attention and feed-forward, each around the residual stream. The five families differ only in
// which weights are there and in their constants, so this is the one place that computes them:
//
//   gpt2    layer norms with biases, one matrix for q, k and v, learned positions, plain feed-forward with GELU
//   llama   RMS norms, rotary positions, gated feed-forward with SiLU
//   qwen2   llama with biases on q, k and v
//   qwen3   llama with norms over each query and key head
//   gemma3  qwen3 with norms after attention and feed-forward too, GELU, and windows in most layers
import LLMKernels

struct DecoderLayer: Sendable {
    private let index: Int
    let attentionNorm: Norm
    /// Query, key and value rows one after another, or three matrices.
    let queryKeyValue: Linear?
    let query: Linear?
    let key: Linear?
    let value: Linear?
    let queryNorm: Norm?
    let keyNorm: Norm?
    let attentionOutput: Linear
    let postAttentionNorm: Norm?
    let feedForwardNorm: Norm
    let gate: Linear?
    let up: Linear
    let down: Linear
    let postFeedForwardNorm: Norm?
    let rotary: RoPETable?
    let attention: AttentionParameters

    init(_ loader: WeightLoader, layer: Int, rotary: RoPETable?) throws(ModelError) {
        func name(_ tensor: LayerTensor) -> TensorName { .layer(layer, tensor) }
        func optional(_ weight: LayerTensor, _ bias: LayerTensor, if isThere: Bool) throws(ModelError) -> Linear? {
            isThere ? try loader.linear(name(weight), name(bias)) : nil
        }
        index = layer
        let configuration = loader.source.configuration
        let isGPT2 = configuration.architecture == .gpt2
        attentionNorm = try loader.norm(name(.attentionNorm), name(.attentionNormBias))
        queryKeyValue = try optional(.queryKeyValue, .queryKeyValueBias, if: isGPT2)
        query = try optional(.query, .queryBias, if: !isGPT2)
        key = try optional(.key, .keyBias, if: !isGPT2)
        value = try optional(.value, .valueBias, if: !isGPT2)
        queryNorm = try loader.optionalNorm(name(.queryNorm))
        keyNorm = try loader.optionalNorm(name(.keyNorm))
        attentionOutput = try loader.linear(name(.attentionOutput), name(.attentionOutputBias))
        postAttentionNorm = try loader.optionalNorm(name(.postAttentionNorm))
        feedForwardNorm = try loader.norm(name(.feedForwardNorm), name(.feedForwardNormBias))
        gate = try optional(.gate, .gateBias, if: !isGPT2)
        up = try loader.linear(name(.up), name(.upBias))
        down = try loader.linear(name(.down), name(.downBias))
        postFeedForwardNorm = try loader.optionalNorm(name(.postFeedForwardNorm))
        self.rotary = rotary
        attention = AttentionParameters(
            scale: configuration.attentionScale, window: configuration.windows[layer],
            softcap: configuration.attentionSoftcap)
    }

    /// Bytes of the packed matrices.
    var weightBytes: Int {
        [queryKeyValue, query, key, value, attentionOutput, gate, up, down].reduce(0) {
            $0 + ($1?.weights.byteCount ?? 0)
        }
    }

    /// x [rows, hidden] is replaced by the layer's output.
    func forward(
        _ x: MatrixView, _ configuration: ModelConfiguration, cache: KVLayer, _ work: Workspace, _ team: ThreadTeam
    ) {
        let normed = work.normed.matrix(rows: x.rows, columns: x.columns)
        team.eachRow(
            x.rows, columns: 2 * x.columns, attentionNorm(x, into: normed),
            work.quantized.quantize(normed, for: queryKeyValue, query, key, value))
        let attended = attend(normed, configuration, cache: cache, work, team)
        team.eachRow(x.rows, columns: attended.columns, work.quantized.quantize(attended, for: attentionOutput))
        let added = project(
            attended, attentionOutput, .attentionOutput, onto: x, through: postAttentionNorm, work, team)
        team.eachRow(
            x.rows, columns: 4 * x.columns, added.change, added.norm, added.sum, feedForwardNorm(x, into: normed),
            work.quantized.quantize(normed, for: gate, up))
        let activated = activate(normed, configuration, work, team)
        let raised = project(activated, down, .down, onto: x, through: postFeedForwardNorm, work, team)
        team.eachRow(x.rows, columns: 2 * x.columns, raised.change, raised.norm, raised.sum)
    }

    // MARK: Parts

    /// Attention of the rows of `input` [rows, heads · headSize].
    private func attend(
        _ input: MatrixView, _ configuration: ModelConfiguration, cache: KVLayer, _ work: Workspace, _ team: ThreadTeam
    ) -> MatrixView {
        let (wide, narrow) = (configuration.querySize, configuration.keyValueSize)
        let all = work.queryKeyValue.matrix(rows: input.rows, columns: wide + 2 * narrow)
        let queries = all.columns(0..<wide)
        let keys = all.columns(wide..<wide + narrow)
        let values = all.columns(wide + narrow..<wide + 2 * narrow)
        if let queryKeyValue {
            matmul(input, work.quantized, queryKeyValue.output(all), team: team)
        } else if let query, let key, let value {
            matmul(
                input, work.quantized, query.output(queries), key.output(keys), value.output(values), team: team)
        }
        let (size, style) = (configuration.headSize, configuration.ropeStyle)
        team.eachRow(
            input.rows, columns: 2 * all.columns,
            work.changes.add(input, at: places(.query, through: queryKeyValue == nil ? .value : .query), to: all),
            queryNorm?(queries, into: queries), keyNorm?(keys, into: keys),
            rotary.map { .rotate(queries, by: $0, rows: work.rows, headSize: size, style: style) },
            rotary.map { .rotate(keys, by: $0, rows: work.rows, headSize: size, style: style) },
            .store(keys: keys, values: values, in: cache, rows: work.rows))
        let attended = work.attended.matrix(rows: input.rows, columns: wide)
        LLMKernels.attention(
            queries, layer: cache, rows: work.rows, parameters: attention, into: attended,
            scratch: work.attentionScratch, team: team)
        return attended
    }

    /// act(gate) · up, or act(up) without a gate [rows, intermediate], quantised for `down`.
    private func activate(
        _ input: MatrixView, _ configuration: ModelConfiguration, _ work: Workspace, _ team: ThreadTeam
    ) -> MatrixView {
        let width = configuration.intermediateSize
        let both = work.gateUp.matrix(rows: input.rows, columns: 2 * width)
        let (gated, raised) = (both.columns(0..<width), both.columns(width..<2 * width))
        matmul(input, work.quantized, up.output(raised), gate?.output(gated), team: team)
        let activation: RowOperation =
            switch (gate, configuration.activation) {
            case (nil, _): .gelu(raised, into: gated)
            case (_, .silu): .siluProduct(gated, raised, into: gated)
            case (_, .geluTanh): .geluProduct(gated, raised, into: gated)
            }
        team.eachRow(
            input.rows, columns: 8 * width, work.changes.add(input, at: places(.gate, through: .up), to: both),
            activation, work.quantized.quantize(gated, for: down))
        return gated
    }

    /// x += norm(linear(input)). Returns what is left to do for each row: the change of its adapter and, unless there is
    /// no norm, the two operations that follow it.
    private func project(
        _ input: MatrixView, _ linear: Linear, _ product: AdaptedProduct, onto x: MatrixView, through norm: Norm?,
        _ work: Workspace, _ team: ThreadTeam
    ) -> (change: RowOperation?, norm: RowOperation?, sum: RowOperation?) {
        let places = places(product, through: product)
        guard let norm else {
            matmul(input, work.quantized, linear.output(x, accumulates: true), team: team)
            return (work.changes.add(input, at: places, to: x), nil, nil)
        }
        let sum = work.normed.matrix(rows: x.rows, columns: x.columns)
        matmul(input, work.quantized, linear.output(sum), team: team)
        return (work.changes.add(input, at: places, to: sum), norm(sum, into: sum), .add(x, sum, into: x))
    }

    private func places(_ first: AdaptedProduct, through last: AdaptedProduct) -> Range<Int> {
        first.place(inLayer: index)..<last.place(inLayer: index) + 1
    }
}
