// The model families that Millrace runs.

package enum Architecture: String, Sendable, CaseIterable {
    case gpt2, llama, qwen2, qwen3, gemma3

    /// The family of a Hugging Face `model_type`; nil for one that is not supported.
    init?(modelType: String) {
        switch modelType {
        case "mistral": self = .llama
        case "gemma3_text": self = .gemma3
        default: self.init(rawValue: modelType)
        }
    }

    /// What checkpoints of this family look like.
    var checkpoint: any FamilyCheckpoint.Type {
        switch self {
        case .gpt2: GPT2Checkpoint.self
        case .llama: LlamaCheckpoint.self
        case .qwen2: Qwen2Checkpoint.self
        case .qwen3: Qwen3Checkpoint.self
        case .gemma3: Gemma3Checkpoint.self
        }
    }

    static let supported = "supported are " + allCases.map(\.rawValue).joined(separator: ", ")
}
