// How much an engine holds at once. None of these numbers may change a result, only speed and memory.

package struct EngineLimits: Sendable, Hashable {
    /// Slots: sequences that run at the same time.
    package var maximumSequences: Int
    /// Rows of one step: decoding sequences take one each, prompts share the rest. At least `maximumSequences`, so that
    /// a long prompt never holds up those who decode.
    package var tokenBudget: Int
    /// Blocks of `TokenBlock.size` tokens in the key-value cache.
    package var cacheBlocks: Int
    /// Rows up to which a step is filled with tokens that may come next; 0: never. Up to here a row costs much less than
    /// a step.
    package var draftRows: Int
    /// Requests that may wait for a slot.
    package var maximumWaiting: Int

    package init(
        maximumSequences: Int = 32, tokenBudget: Int = 256, cacheBlocks: Int, draftRows: Int = 8,
        maximumWaiting: Int = 1024
    ) {
        self.maximumSequences = maximumSequences
        self.tokenBudget = tokenBudget
        self.cacheBlocks = cacheBlocks
        self.draftRows = draftRows
        self.maximumWaiting = maximumWaiting
    }

    package func validate() throws(EngineError) {
        func require(_ holds: Bool, _ field: String, _ reason: @autoclosure () -> String) throws(EngineError) {
            if !holds { throw .invalidParameter(field: field, reason: reason()) }
        }
        let bound = Int(Int32.max)
        try require(
            (1...4096).contains(maximumSequences), "maximumSequences", "must be 1…4096, is \(maximumSequences)")
        try require(
            tokenBudget >= maximumSequences && tokenBudget <= bound, "tokenBudget",
            "must be at least maximumSequences (\(maximumSequences)), is \(tokenBudget)")
        try require(
            cacheBlocks >= 1 && cacheBlocks <= bound / TokenBlock.size, "cacheBlocks",
            "must be 1…\(bound / TokenBlock.size), is \(cacheBlocks)")
        try require(draftRows >= 0, "draftRows", "must be 0 (off) or more, is \(draftRows)")
        try require(maximumWaiting >= 1, "maximumWaiting", "must be 1 or more, is \(maximumWaiting)")
    }
}
