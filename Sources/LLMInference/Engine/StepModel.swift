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
    /// Whether the adapter belongs to a model like this one.
    func fits(_ adapter: LoRAAdapter) -> Bool
    /// Elements of a token's state after the last norm.
    var hiddenSize: Int { get }
    /// Memory for running: a cache of `cacheBlocks` blocks, and room for a step of at most these many rows and for the
    /// logits of so many of them at a time.
    func makeRunner(cacheBlocks: Int, maximumRows: Int, maximumLogitRows: Int, team: ThreadTeam) -> any StepRunner
}

/// A model with its cache and work memory. Owned by one engine.
package protocol StepRunner: AnyObject {
    /// Computes one step. Returns the states of the output rows [batch.outputRows.count, hiddenSize], which last until the
    /// next step. A row's state depends on its sequence alone, bit for bit.
    func forward(_ batch: StepBatch) -> UnsafePointer<Float>
    /// Logits [places.count, vocabularySize] of some of the step's output rows; they last until the next call.
    func logits(_ places: Range<Int>) -> UnsafePointer<Float>
}
