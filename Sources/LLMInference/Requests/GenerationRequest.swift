// An answer to a prompt.
import LLMConstraints
import LLMModels

/// One prompt to be continued.
package struct GenerationRequest: EngineRequest, Hashable {
    package var id: UInt64
    package var prompt: [Int32]
    package var parameters: SamplingParameters
    /// Output tokens of an earlier, interrupted run of the same request. The run goes on after them with the bytes that
    /// it would have had without the interruption; events and text deltas begin after them.
    package var resumeTokens: [Int32]
    /// What the text must satisfy; it does so also when it ends at `maximumTokens`. Can't go with stop strings, stop tokens and
    /// `ignoreEndOfText`, which would end the text elsewhere or not at all.
    package var constraint: TokenConstraint?
    package var adapter: LoRAAdapter?
    package var priority: Int

    package init(
        id: UInt64, prompt: [Int32], parameters: SamplingParameters = SamplingParameters(),
        resumeTokens: [Int32] = [], constraint: TokenConstraint? = nil, adapter: LoRAAdapter? = nil, priority: Int = 0
    ) {
        self.id = id
        self.prompt = prompt
        self.parameters = parameters
        self.resumeTokens = resumeTokens
        self.constraint = constraint
        self.adapter = adapter
        self.priority = priority
    }

    package var tokenCount: Int { prompt.count + resumeTokens.count }

    package func sequence(for model: any StepModel) throws(EngineError) -> any EngineSequence {
        try parameters.validate()
        if prompt.isEmpty { throw .emptyPrompt }
        if prompt.count >= model.contextLength {
            throw .promptTooLong(tokens: prompt.count, contextLength: model.contextLength)
        }
        try model.check(prompt, "prompt")
        try model.check(resumeTokens, "resumeTokens")
        try model.check(parameters.stopTokens, "stopTokens")
        return try GenerationSequence(self, model: model)
    }
}
