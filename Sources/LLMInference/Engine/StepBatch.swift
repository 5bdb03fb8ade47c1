// The rows of one step.

package struct StepBatch {
    package var tokens: [Int32] = []
    package var positions: [Int32] = []
    /// Row → index into `blockTables`.
    package var sequences: [Int32] = []
    /// Cache blocks of each sequence: position p is in block p / 16.
    package var blockTables: [[Int32]] = []
    /// Rows whose logits are wanted, ascending.
    package var logitRows: [Int32] = []
    package init() {}
}
