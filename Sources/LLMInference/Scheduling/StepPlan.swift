// What one step computes. Reused between steps.

package struct StepPlan: Sendable {
    /// `rows` consecutive positions of the sequence in `slot`; the outputs of the last `outputRows` of them are wanted.
    package struct Item: Sendable, Hashable {
        package var slot: Int
        package var position: Int
        package var rows: Int
        package var outputRows: Int
        /// The last so many rows are of tokens that may turn out to be others.
        package var draftRows = 0
    }

    /// A request that got or lost its slot.
    package struct Move: Sendable, Hashable {
        package var request: UInt64
        package var slot: Int
    }

    package internal(set) var items: [Item] = []
    /// Sequences that lost their blocks before this step and wait again. Their tokens are kept.
    package internal(set) var preempted: [Move] = []
    /// Sequences that start with this step (after `preempted`: a slot may change hands).
    package internal(set) var admitted: [Move] = []
    package internal(set) var rows = 0

    package init(slots: Int) {
        items.reserveCapacity(slots)
        preempted.reserveCapacity(slots)
        admitted.reserveCapacity(slots)
    }

    mutating func clear() {
        items.removeAll(keepingCapacity: true)
        preempted.removeAll(keepingCapacity: true)
        admitted.removeAll(keepingCapacity: true)
        rows = 0
    }

    mutating func addDrafts(_ count: Int, at index: Int) {
        items[index].rows += count
        items[index].outputRows += count
        items[index].draftRows = count
        rows += count
    }

    mutating func add(_ item: Item) {
        items.append(item)
        rows += item.rows
    }
}
