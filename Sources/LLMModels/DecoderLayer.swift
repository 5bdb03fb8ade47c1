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

    /// x [rows, hidden] is replaced by the layer's output.
    func forward(
        _ x: MatrixView, _ configuration: ModelConfiguration, positions: [Int32], cache: KVLayer, _ work: Workspace,
        _ team: ThreadTeam
    ) {
        let normed = work.normed.matrix(rows: x.rows, columns: configuration.hiddenSize)
        attentionNorm.apply(x, into: normed, team)
        attend(normed, configuration, positions: positions, cache: cache, work, team)
        let attended = work.attended.matrix(rows: x.rows, columns: configuration.querySize)
        add(attentionOutput, of: attended, to: x, through: postAttentionNorm, work, team)

        feedForwardNorm.apply(x, into: normed, team)
        let activated = activate(normed, configuration, work, team)
        add(down, of: activated, to: x, through: postFeedForwardNorm, work, team)
    }

    // MARK: Parts

    /// Attention of the rows of `input`; the result is in `work.attended`.
    private func attend(
        _ input: MatrixView, _ configuration: ModelConfiguration, positions: [Int32], cache: KVLayer, _ work: Workspace,
        _ team: ThreadTeam
    ) {
        let (wide, narrow) = (configuration.querySize, configuration.keyValueSize)
        let all = work.queryKeyValue.matrix(rows: input.rows, columns: wide + 2 * narrow)
        let queries = all.columns(0..<wide)
        let keys = all.columns(wide..<wide + narrow)
        let values = all.columns(wide + narrow..<wide + 2 * narrow)
        work.quantized.prepare(input, for: queryKeyValue, query, key, value, team: team)
        queryKeyValue?.apply(input, into: all, work.quantized, team)
        query?.apply(input, into: queries, work.quantized, team)
        key?.apply(input, into: keys, work.quantized, team)
        value?.apply(input, into: values, work.quantized, team)
        queryNorm?.apply(queries, into: queries, team)
        keyNorm?.apply(keys, into: keys, team)
        if let rotary {
            let (size, style) = (configuration.headSize, configuration.ropeStyle)
            rotary.rotate(queries, positions: positions, headSize: size, style: style, team: team)
            rotary.rotate(keys, positions: positions, headSize: size, style: style, team: team)
        }
        cache.store(keys: keys, values: values, rows: work.rows, team: team)
        LLMKernels.attention(
            queries, layer: cache, rows: work.rows, parameters: attention,
            into: work.attended.matrix(rows: input.rows, columns: wide), scratch: work.attentionScratch, team: team)
    }

    /// act(gate) · up, or act(up) without a gate [rows, intermediate].
    private func activate(
        _ input: MatrixView, _ configuration: ModelConfiguration, _ work: Workspace, _ team: ThreadTeam
    ) -> MatrixView {
        let width = configuration.intermediateSize
        let both = work.gateUp.matrix(rows: input.rows, columns: 2 * width)
        let (gated, raised) = (both.columns(0..<width), both.columns(width..<2 * width))
        work.quantized.prepare(input, for: gate, up, team: team)
        up.apply(input, into: raised, work.quantized, team)
        guard let gate else {
            gelu(raised, into: gated, team: team)
            return gated
        }
        gate.apply(input, into: gated, work.quantized, team)
        switch configuration.activation {
        case .silu: siluProduct(gated, raised, into: gated, team: team)
        case .geluTanh: geluProduct(gated, raised, into: gated, team: team)
        }
        return gated
    }

    /// x += norm(linear(input)), without the norm if there is none.
    private func add(
        _ linear: Linear, of input: MatrixView, to x: MatrixView, through norm: Norm?, _ work: Workspace,
        _ team: ThreadTeam
    ) {
        work.quantized.prepare(input, for: linear, team: team)
        guard let norm else { return linear.apply(input, into: x, accumulate: true, work.quantized, team) }
        let sum = work.normed.matrix(rows: x.rows, columns: x.columns)
        linear.apply(input, into: sum, work.quantized, team)
        norm.apply(sum, into: sum, team)
        LLMKernels.add(x, sum, into: x, team: team)
    }
}
