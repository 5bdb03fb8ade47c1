// What a family's checkpoints look like: the names of its tensors in both formats, side by side, and the keys of its
// configuration. One type per family in Families/.

protocol FamilyCheckpoint {
    static var tensors: TensorTable { get }
    /// Reads the configuration from `config.json` or from GGUF metadata.
    static func configuration(_ fields: ConfigurationFields) throws(ModelError) -> ModelConfiguration
}

/// When a tensor must be there.
enum TensorCondition: Sendable {
    case always, untiedOutput, queryKeyValueBias, attentionOutputBias, feedForwardBias
}

/// A line of a family's table.
struct TensorKey<Name: Sendable>: Sendable {
    let name: Name
    /// After the prefix of the model or the layer.
    let huggingFace: String
    let gguf: String
    let condition: TensorCondition
    /// What is different in a Hugging Face checkpoint; GGUF stores the canonical form.
    let quirk: StorageQuirk

    init(
        _ name: Name, _ huggingFace: String, _ gguf: String, if condition: TensorCondition = .always,
        huggingFaceIs quirk: StorageQuirk = .none
    ) {
        self.name = name
        self.huggingFace = huggingFace
        self.gguf = gguf
        self.condition = condition
        self.quirk = quirk
    }
}

/// The tensors of a family.
struct TensorTable: Sendable {
    /// What may stand before every name but the LM head's in a Hugging Face checkpoint, the usual one first: a bare model
    /// has none, one with pictures has a longer one.
    let prefixes: [String]
    /// Before the number of a layer, after the prefix.
    let layerPrefix: String
    let model: [TensorKey<TensorName>]
    let layer: [TensorKey<LayerTensor>]

    /// Where the formats have a tensor.
    struct Line {
        let gguf: String
        /// After the prefix.
        let huggingFace: String
        let quirk: StorageQuirk
    }

    /// The line of a tensor; nil for one that the family does not have.
    func line(_ name: TensorName) -> Line? {
        switch name {
        case .layer(let index, let tensor):
            layer.first { $0.name == tensor }.map {
                Line(
                    gguf: "blk.\(index).\($0.gguf)", huggingFace: "\(layerPrefix)\(index).\($0.huggingFace)",
                    quirk: $0.quirk)
            }
        default:
            model.first { $0.name == name }.map {
                Line(gguf: $0.gguf, huggingFace: $0.huggingFace, quirk: $0.quirk)
            }
        }
    }
}
