// How much of the machine the models of one worker may use.
import LLMKernels

package struct ServingLimits: Sendable {
    package var threads: Int
    /// Jobs that run at the same time, over all models.
    package var sequences: Int
    /// Rows of one engine step.
    package var tokenBudget: Int
    /// Tokens that the cache of one model holds.
    package var cacheTokens: Int
    /// How it keeps them. Other than float16 it shows in `model_digest`, since answers may differ in a token.
    package var cachePrecision = KVPrecision.float16
    /// Models in memory at the same time.
    package var models: Int
    /// Bytes of adapters that stay in memory between jobs, over all models.
    package var adapterBytes = 512 << 20

    package init(threads: Int, sequences: Int = 32, tokenBudget: Int = 256, cacheTokens: Int = 16384, models: Int = 2) {
        self.threads = threads
        self.sequences = sequences
        self.tokenBudget = tokenBudget
        self.cacheTokens = cacheTokens
        self.models = models
    }

    /// What tells answers apart that one model gives with other keys and values.
    var digestSuffix: String { cachePrecision == .float16 ? "" : "+\(cachePrecision.rawValue)-cache" }
}
