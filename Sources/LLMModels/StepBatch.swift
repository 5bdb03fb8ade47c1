// The rows of one step: tokens of several sequences, prompts and answers mixed.

/// Filled anew for each step; the arrays keep their memory.
package struct StepBatch {
    package var tokens: [Int32] = []
    /// Place of each row's token in its sequence.
    package var positions: [Int32] = []
    /// Row → index into `blockTables`. Rows of one sequence stand together, with ascending positions.
    package var sequences: [Int32] = []
    /// Cache blocks of each sequence: position p is in block p / 16.
    package var blockTables: [[Int32]] = []
    /// Adapter of each sequence, made for a model of this configuration; where the list is shorter, none.
    package var adapters: [LoRAAdapter?] = []
    /// Rows whose state after the last norm is wanted, each sequence's ascending.
    package var outputRows: [Int32] = []
    package init() {}
}
