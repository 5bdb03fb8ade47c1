// The seam between the engine and the model that it runs.
import LLMKernels
import LLMModels

/// What the engine needs to know of a model. Immutable; several engines may share one.
package protocol StepModel: Sendable {
    var vocabularySize: Int { get }
    /// Positions that the model can tell apart: tokens of prompt and answer together.
    var contextLength: Int { get }
    /// Tokens that end an answer.
    var endOfTextTokens: [Int32] { get }
    func makeTextDecoder() -> any TextDecoder
    /// Memory for running: a cache of `cacheBlocks` blocks and room for one step of at most these many rows.
    func makeRunner(cacheBlocks: Int, maximumRows: Int, maximumLogitRows: Int, team: ThreadTeam) -> any StepRunner
}

/// A model with its cache and work memory. Owned by one engine.
package protocol StepRunner: AnyObject {
    /// Computes one step and returns the logits [batch.logitRows.count, vocabularySize], which last until the next call.
    /// A row's logits depend on its sequence alone, bit for bit.
    func forward(_ batch: StepBatch) -> UnsafePointer<Float>
}
