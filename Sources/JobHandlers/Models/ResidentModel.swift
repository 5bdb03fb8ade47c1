// A model in memory, as a job uses it.
import LLMConstraints
import LLMInference
import LLMModels
import LLMPrompts
import LLMTokenizers

/// A loaded model with all that a job needs of it, and the adapter that the job names. Copies share everything.
package struct ResidentModel: Sendable {
    package let name: String
    /// Of the model's file, of the adapter's, and of what else decides about bytes, joined by "+".
    package var digest: String { fileDigest + (adapter.map { "+" + $0.digest } ?? "") + limits.digestSuffix }
    package var provenance: Provenance {
        Provenance(
            model: fileDigest, adapter: adapter?.digest,
            cache: limits.cachePrecision == .float16 ? nil : limits.cachePrecision, threads: limits.threads)
    }
    package let configuration: ModelConfiguration
    package let tokenizer: Tokenizer
    /// Nil for a model without one.
    package let chatTemplate: ChatTemplate?
    package let engine: EngineThread
    /// Compiled constraints of structured output.
    package let constraints: ConstraintCache
    /// What adapters are checked against.
    let source: any ModelSource
    let fileDigest: String
    private let limits: ServingLimits
    package private(set) var adapter: LoRAAdapter?

    /// - Parameter limits: those of its engine.
    init(
        name: String, source: any ModelSource, digest: String, limits: ServingLimits, tokenizer: Tokenizer,
        chatTemplate: ChatTemplate?, engine: EngineThread
    ) {
        self.name = name
        self.source = source
        fileDigest = digest
        self.limits = limits
        configuration = source.configuration
        self.tokenizer = tokenizer
        self.chatTemplate = chatTemplate
        self.engine = engine
        let size = configuration.vocabularySize
        constraints = ConstraintCache { Vocabulary(tokenizer, size: size) }
    }

    func with(_ adapter: LoRAAdapter) -> ResidentModel {
        var copy = self
        copy.adapter = adapter
        return copy
    }
}
