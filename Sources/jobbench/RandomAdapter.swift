// An adapter of random numbers: its speed is that of any other of its rank.
import LLMInference
import LLMModels

extension LoRAAdapter {
    /// Changes every matrix of every layer.
    static func random(_ number: Int, rank: Int, for model: ServedModel) -> LoRAAdapter {
        let configuration = model.model.configuration
        let attention: [LayerTensor] =
            configuration.architecture == .gpt2 ? [.queryKeyValue] : [.query, .key, .value, .gate]
        var generator = SystemRandomNumberGenerator()
        func numbers(_ count: Int) -> [Float] {
            (0..<count).map { _ in Float.random(in: -0.01...0.01, using: &generator) }
        }
        let updates = (0..<configuration.layerCount).flatMap { layer in
            (attention + [.attentionOutput, .up, .down]).map { tensor in
                let shape = configuration.shape(.layer(layer, tensor))
                return LowRankUpdate(
                    layer: layer, tensor: tensor, rank: rank, a: numbers(rank * shape[1]), b: numbers(shape[0] * rank))
            }
        }
        return LoRAAdapter(
            AdapterSource(path: "", digest: "random \(number)", bytes: 0, updates: updates), for: configuration)
    }
}
