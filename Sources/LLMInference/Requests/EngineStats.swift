// A snapshot of an engine's load and work, for topping up, logs and metrics.

package struct EngineStats: Sendable, Hashable {
    /// Requests that would start at the next step if they were submitted now (as far as their tokens fit).
    package var freeSlots = 0
    /// Tokens of cache that neither run nor wait, less the room that running sequences are about to grow into.
    package var freeTokens = 0
    package var running = 0
    package var waiting = 0

    package var steps: UInt64 = 0
    package var generatedTokens: UInt64 = 0
    /// Rows computed for prompts, scores, embeddings, resumed tokens and tokens lost to pre-emption.
    package var prefillTokens: UInt64 = 0
    /// Rows of finished requests that were not computed, because the cache had them.
    package var cachedTokens: UInt64 = 0
    /// Rows of tokens that might have come next, and how many of those came.
    package var draftedTokens: UInt64 = 0
    package var acceptedTokens: UInt64 = 0
    package var preemptions: UInt64 = 0
    package var finished: UInt64 = 0
    package var failed: UInt64 = 0
    /// Time in `StepRunner.forward` and in whole steps.
    package var forwardNanoseconds: UInt64 = 0
    package var stepNanoseconds: UInt64 = 0

    /// Generated tokens per second of the last steps (an average that forgets with a time constant of two seconds).
    package var tokensPerSecond = 0.0

    /// Share of step time outside of the model.
    package var overhead: Double {
        stepNanoseconds == 0 ? 0 : 1 - Double(forwardNanoseconds) / Double(stepNanoseconds)
    }
}
