// Decides what each step computes. A pure value: events in, plan out; it knows neither tokens nor models.

/// Policy:
/// - Order is priority (higher first), then arrival. Nothing overtakes in this order, neither to a slot nor to a block;
///   within one priority nobody starves. A steady flow of higher priority does hold back lower ones, as asked.
/// - A step first takes every sequence with a single row to compute (decoding), then fills the token budget with chunks
///   of the others (prompts), in order. The budget is at least the number of slots, so both always advance.
/// - Admission is optimistic: a sequence starts when a slot and blocks for its present tokens are free and one further
///   block remains for each running sequence to grow into. What its answer may need at most is not reserved.
/// - When a sequence needs a block and none is free, the last running one in order loses its slot and blocks and waits
///   again in its old place; its tokens are kept and computed anew later.
/// - This never deadlocks: `enqueue` demands that a sequence alone fits the cache, the first in order never loses its
///   blocks to another, and so it ends; then the next one is first.
package struct Scheduler: Sendable {
    package struct Sequence: Sendable {
        package let request: UInt64
        package let priority: Int
        package let arrival: UInt64
        /// Tokens whose keys and values are to be computed: all known ones.
        package internal(set) var known: Int
        package internal(set) var computed = 0
        /// Rows from this position on need logits; the last known row always does.
        package let logitsFrom: Int
        /// Tokens that it may come to have in the cache.
        let longest: Int
        package internal(set) var table = BlockTable()

        package var pending: Int { known - computed }

        func precedes(_ other: Sequence) -> Bool {
            priority != other.priority ? priority > other.priority : arrival < other.arrival
        }
    }

    package let tokenBudget: Int
    package let logitBudget: Int
    package private(set) var allocator: BlockAllocator
    /// Running sequences.
    package private(set) var slots: [Sequence?]
    /// Running slots in order of precedence.
    private var order: [Int] = []
    /// The next one to start is the last.
    private var queue: [Sequence] = []
    private var freeSlotNumbers: [Int]
    private var arrivals: UInt64 = 0
    /// Blocks that the waiting sequences will need to start.
    private var queuedBlocks = 0

    package init(slots: Int, tokenBudget: Int, blocks: Int) {
        precondition(slots >= 1 && tokenBudget >= slots && blocks >= 1)
        self.tokenBudget = tokenBudget
        logitBudget = slots
        allocator = BlockAllocator(blockCount: blocks)
        self.slots = Array(repeating: nil, count: slots)
        freeSlotNumbers = (0..<slots).reversed()
        order.reserveCapacity(slots)
    }

    package var running: Int { order.count }
    package var waiting: Int { queue.count }
    package var isIdle: Bool { order.isEmpty && queue.isEmpty }
    package var freeSlots: Int { max(0, slots.count - order.count - queue.count) }
    package var freeTokens: Int {
        max(0, allocator.freeCount - order.count - queuedBlocks) * BlockAllocator.blockSize
    }

    // MARK: Events

    /// A new request waits. `known`: tokens so far; `longest`: tokens whose keys and values its longest answer needs.
    package mutating func enqueue(
        request: UInt64, priority: Int, known: Int, longest: Int, logitsFrom: Int = .max
    ) {
        precondition(known >= 1 && longest >= known)
        precondition(BlockAllocator.blocks(forTokens: longest) <= allocator.blockCount, "never fits the cache")
        arrivals += 1
        enqueue(
            Sequence(
                request: request, priority: priority, arrival: arrivals, known: known, logitsFrom: logitsFrom,
                longest: longest))
    }

    /// The plan was carried out.
    package mutating func finishStep(_ plan: StepPlan) {
        for item in plan.items { slots[item.slot]!.computed += item.rows }
    }

    /// The sequence in this slot has one more token.
    package mutating func extend(slot: Int) { slots[slot]!.known += 1 }

    /// The sequence in this slot has ended.
    package mutating func finish(slot: Int) {
        order.removeAll { $0 == slot }
        _ = vacate(slot)
    }

    /// Takes a request out, wherever it is. Returns its slot if it was running, nil if it waited or isn't there.
    package mutating func cancel(request: UInt64) -> Int? {
        if let slot = order.first(where: { slots[$0]!.request == request }) {
            finish(slot: slot)
            return slot
        }
        if let index = queue.firstIndex(where: { $0.request == request }) {
            queuedBlocks -= BlockAllocator.blocks(forTokens: queue[index].known)
            queue.remove(at: index)
        }
        return nil
    }

    // MARK: Plan

    package mutating func plan(into plan: inout StepPlan) {
        plan.clear()
        growRunning(&plan)
        for slot in order where slots[slot]!.pending == 1 { add(slot, to: &plan) }
        for slot in order where slots[slot]!.pending > 1 { add(slot, to: &plan) }
        while plan.rows < tokenBudget && plan.logitRows < logitBudget, let slot = admitNext(&plan) {
            add(slot, to: &plan)
        }
    }

    /// Gives every running sequence the blocks for its known tokens, in order, at the expense of the last ones.
    private mutating func growRunning(_ plan: inout StepPlan) {
        var index = 0
        while index < order.count {
            let slot = order[index]
            if allocator.grow(&slots[slot]!.table, toHold: slots[slot]!.known) {
                index += 1
            } else {
                let victim = order.removeLast()
                plan.preempted.append(.init(request: slots[victim]!.request, slot: victim))
                var sequence = vacate(victim)
                sequence.computed = 0
                enqueue(sequence)
            }
        }
    }

    private mutating func admitNext(_ plan: inout StepPlan) -> Int? {
        guard let next = queue.last, let slot = freeSlotNumbers.last else { return nil }
        let needed = BlockAllocator.blocks(forTokens: next.known)
        guard order.isEmpty || allocator.freeCount - needed >= order.count else { return nil }
        var sequence = queue.removeLast()
        queuedBlocks -= needed
        sequence.table = BlockTable(reservingTokens: sequence.longest)
        guard allocator.grow(&sequence.table, toHold: sequence.known) else {
            // Unreachable: with nothing running every block is free, and one sequence alone fits.
            preconditionFailure("blocks are missing")
        }
        freeSlotNumbers.removeLast()
        let place = order.firstIndex { sequence.precedes(slots[$0]!) } ?? order.count
        order.insert(slot, at: place)
        plan.admitted.append(.init(request: sequence.request, slot: slot))
        slots[slot] = sequence
        return slot
    }

    /// As many pending rows of the slot as both budgets allow.
    private func add(_ slot: Int, to plan: inout StepPlan) {
        let sequence = slots[slot]!
        let position = sequence.computed
        // First row that needs logits, and how many rows may come before and with them.
        let silent = max(0, min(sequence.logitsFrom, sequence.known - 1) - position)
        let rows = min(sequence.pending, tokenBudget - plan.rows, silent + logitBudget - plan.logitRows)
        if rows <= 0 { return }
        plan.add(.init(slot: slot, position: position, rows: rows, logitRows: max(0, rows - silent)))
    }

    // MARK: Shared

    private mutating func vacate(_ slot: Int) -> Sequence {
        var sequence = slots[slot]!
        slots[slot] = nil
        allocator.release(&sequence.table)
        freeSlotNumbers.append(slot)
        return sequence
    }

    private mutating func enqueue(_ sequence: Sequence) {
        queuedBlocks += BlockAllocator.blocks(forTokens: sequence.known)
        // Behind (in the array: before) everything that precedes it.
        var low = 0
        var high = queue.count
        while low < high {
            let middle = (low + high) / 2
            if queue[middle].precedes(sequence) { high = middle } else { low = middle + 1 }
        }
        queue.insert(sequence, at: low)
    }
}
