// An adapter in memory, ready to be added to the products of its model.
import LLMKernels

/// The products of a layer that an adapter can change, in the order in which they stand beside one another.
enum AdaptedProduct: Int, CaseIterable {
    /// Also the one matrix for query, key and value.
    case query
    case key, value, attentionOutput, gate, up, down

    /// nil for what is no matrix of a layer.
    init?(_ tensor: LayerTensor) {
        switch tensor {
        case .query, .queryKeyValue: self = .query
        case .key: self = .key
        case .value: self = .value
        case .attentionOutput: self = .attentionOutput
        case .gate: self = .gate
        case .up: self = .up
        case .down: self = .down
        default: return nil
        }
    }

    /// Its place among the products of all layers.
    func place(inLayer layer: Int) -> Int { layer * Self.allCases.count + rawValue }

    /// Every matrix that an adapter of such a model may change, by its name in one of the formats.
    static func matrices(
        of configuration: ModelConfiguration, _ name: KeyPath<TensorTable.Line, String>
    ) -> [String: (layer: Int, tensor: LayerTensor)] {
        let table = configuration.architecture.checkpoint.tensors
        var matrices: [String: (layer: Int, tensor: LayerTensor)] = [:]
        for layer in 0..<configuration.layerCount {
            for product in allCases {
                let tensor = product.tensor(configuration.architecture)
                guard let line = table.line(.layer(layer, tensor)) else { continue }
                // A bare model's modules have no prefix.
                for prefix in [""] + table.prefixes { matrices[prefix + line[keyPath: name]] = (layer, tensor) }
            }
        }
        return matrices
    }

    /// For messages.
    static func expected(_ configuration: ModelConfiguration) -> String {
        "changes no matrix of a layer of this model (\(configuration.architecture.rawValue), "
            + "\(configuration.layerCount) layers); only those are supported"
    }

    func tensor(_ architecture: Architecture) -> LayerTensor {
        switch self {
        case .query: architecture == .gpt2 ? .queryKeyValue : .query
        case .key: .key
        case .value: .value
        case .attentionOutput: .attentionOutput
        case .gate: .gate
        case .up: .up
        case .down: .down
        }
    }
}

/// Immutable; any number of sequences in any number of engines may use it. Equal means: the same bytes.
package final class LoRAAdapter: Sendable, Hashable {
    /// Of its file or folder.
    package let digest: String
    let changes: LowRankChanges
    private let configuration: ModelConfiguration

    /// - Parameters:
    ///   - source: of an adapter that was opened for a model of this configuration.
    ///   - precision: float16 when served, 11 bits of each number, as most are trained; else float32.
    package init(
        _ source: AdapterSource, for configuration: ModelConfiguration, precision: ComputePrecision = .served
    ) {
        var matrices = (0..<configuration.layerCount).flatMap { layer in
            AdaptedProduct.allCases.map { product in
                let shape = configuration.shape(.layer(layer, product.tensor(configuration.architecture)))
                return LowRankMatrix(inputs: shape[1], outputs: shape[0])
            }
        }
        for update in source.updates {
            guard let product = AdaptedProduct(update.tensor) else { preconditionFailure("\(update.tensor)") }
            let place = product.place(inLayer: update.layer)
            matrices[place] = LowRankMatrix(
                inputs: matrices[place].inputs, outputs: matrices[place].outputs, rank: update.rank, a: update.a,
                b: update.b)
        }
        digest = source.digest
        changes = LowRankChanges(matrices, areHalves: precision == .served)
        self.configuration = configuration
    }

    package var byteCount: Int { changes.byteCount }

    /// Whether its places are those of such a model.
    package func fits(_ configuration: ModelConfiguration) -> Bool { configuration == self.configuration }

    package static func == (a: LoRAAdapter, b: LoRAAdapter) -> Bool { a.digest == b.digest }
    package func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
