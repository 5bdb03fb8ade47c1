// Decides what each step computes. A pure value: events in, plan out; it knows neither tokens nor models.

/// Policy:
/// - Order is priority (higher first), then arrival. Nothing overtakes in this order, neither to a slot nor to a block, with
///   one exception: of the first `window` of one priority that wait, the one starts next of which most blocks are there. So
///   sequences on one beginning run together and it stays in the cache. Nobody is passed by more than `patience` times, so
///   within one priority nobody starves. A steady flow of higher priority does hold back lower ones, as asked.
/// - A step first takes every sequence with a single row to compute (decoding), then fills the token budget with chunks
///   of the others (prompts), in order. The budget is at least the number of slots, so both always advance.
/// - Admission is optimistic: a sequence starts when a slot and blocks for its present tokens are free and one further
///   block remains for each running sequence to grow into. What its answer may need at most is not reserved.
/// - When a sequence needs a block and none is free, the last running one in order loses its slot and blocks and waits
///   again in its old place; its tokens are kept and computed anew later.
/// - A sequence begins with the blocks that are there for its tokens (`BlockPool`). Where another one is computing the block
///   that it needs next, it waits for that one, so a common beginning is computed once.
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
        /// The outputs of rows from this position on are wanted; the last known row's always is.
        package let outputFrom: Int
        /// Where its prefix begins in the pool's tree.
        let root: Int32
        /// Tokens that it may come to have in the cache.
        let longest: Int
        package internal(set) var table = BlockTable()
        /// The whole blocks of its known tokens.
        fileprivate(set) var tokenBlocks: [TokenBlock]
        /// Tokens whose keys and values were there when it first started.
        package fileprivate(set) var cached = 0
        fileprivate var wasPreempted = false
        /// Sequences behind it that started before it.
        fileprivate var passedBy = 0

        package var pending: Int { known - computed }
        /// Rows that have their blocks.
        fileprivate var computable: Int { min(known, table.capacity) - computed }
        /// Blocks that may come from others: all rows from the first whose output is wanted on are its own.
        fileprivate var shareable: Int { min(tokenBlocks.count, min(outputFrom, known - 1) / TokenBlock.size) }

        func precedes(_ other: Sequence) -> Bool {
            priority != other.priority ? priority > other.priority : arrival < other.arrival
        }
    }

    package static let window = 16
    package static let patience = 32

    package let tokenBudget: Int
    package private(set) var pool: BlockPool
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
        pool = BlockPool(blockCount: blocks)
        self.slots = Array(repeating: nil, count: slots)
        freeSlotNumbers = (0..<slots).reversed()
        order.reserveCapacity(slots)
    }

    package var running: Int { order.count }
    package var waiting: Int { queue.count }
    package var isIdle: Bool { order.isEmpty && queue.isEmpty }
    package var freeSlots: Int { max(0, slots.count - order.count - queue.count) }
    package var freeTokens: Int {
        max(0, pool.availableCount - order.count - queuedBlocks) * TokenBlock.size
    }

    // MARK: Events

    /// A new request waits. `known`: tokens so far, `tokenBlocks` their whole blocks; `longest`: tokens whose keys and
    /// values its longest answer needs; `root`: only sequences with the same one share blocks.
    package mutating func enqueue(
        request: UInt64, priority: Int, known: Int, tokenBlocks: [TokenBlock] = [], longest: Int,
        outputFrom: Int = .max, root: Int32 = BlockPool.root
    ) {
        precondition(known >= 1 && longest >= known && tokenBlocks.count <= known / TokenBlock.size)
        precondition(TokenBlock.count(forTokens: longest) <= pool.blockCount, "never fits the cache")
        arrivals += 1
        enqueue(
            Sequence(
                request: request, priority: priority, arrival: arrivals, known: known, outputFrom: outputFrom,
                root: root, longest: longest, tokenBlocks: tokenBlocks))
    }

    /// The plan was carried out.
    package mutating func finishStep(_ plan: StepPlan) {
        for item in plan.items {
            let before = slots[item.slot]!.computed / TokenBlock.size
            slots[item.slot]!.computed += item.rows - item.draftRows
            for index in before..<slots[item.slot]!.computed / TokenBlock.size { offer(index, of: slots[item.slot]!) }
        }
    }

    /// The sequence in this slot has one more token, which may complete a block.
    package mutating func extend(slot: Int, completing block: TokenBlock? = nil) {
        slots[slot]!.known += 1
        if let block { slots[slot]!.tokenBlocks.append(block) }
    }

    /// The next token of the sequence in this slot is the one that its draft row was computed with: the row counts.
    package mutating func confirmDraft(slot: Int) {
        slots[slot]!.computed += 1
        let computed = slots[slot]!.computed
        if computed % TokenBlock.size == 0 { offer(computed / TokenBlock.size - 1, of: slots[slot]!) }
    }

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
            queuedBlocks -= TokenBlock.count(forTokens: queue[index].known)
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
        while plan.rows < tokenBudget, let slot = admitNext(&plan) {
            add(slot, to: &plan)
        }
    }

    /// Gives every running sequence the blocks for its known tokens, in order, at the expense of the last ones.
    private mutating func growRunning(_ plan: inout StepPlan) {
        var index = 0
        while index < order.count {
            let slot = order[index]
            if slots[slot]!.table.capacity >= slots[slot]!.known {
                index += 1
                continue
            }
            var sequence = slots[slot]!
            slots[slot] = nil
            let isServed = grow(&sequence)
            slots[slot] = sequence
            if isServed {
                index += 1
            } else {
                let victim = order.removeLast()
                plan.preempted.append(.init(request: slots[victim]!.request, slot: victim))
                sequence = vacate(victim)
                sequence.computed = 0
                sequence.wasPreempted = true
                enqueue(sequence)
                // Who waited for what the victim was computing has to see to it.
                index = 0
            }
        }
    }

    private mutating func admitNext(_ plan: inout StepPlan) -> Int? {
        guard let slot = freeSlotNumbers.last, let next = nextInQueue() else { return nil }
        let needed = missingBlocks(queue[next])
        guard order.isEmpty || pool.availableCount - needed >= order.count else { return nil }
        var sequence = queue.remove(at: next)
        for index in next..<queue.count { queue[index].passedBy += 1 }
        queuedBlocks -= TokenBlock.count(forTokens: sequence.known)
        sequence.table = BlockTable(reservingTokens: sequence.longest)
        sequence.tokenBlocks.reserveCapacity(sequence.longest / TokenBlock.size + 1)
        guard grow(&sequence) else {
            // Unreachable: with nothing running every block is available, and one sequence alone fits.
            preconditionFailure("blocks are missing")
        }
        freeSlotNumbers.removeLast()
        let place = order.firstIndex { sequence.precedes(slots[$0]!) } ?? order.count
        order.insert(slot, at: place)
        plan.admitted.append(.init(request: sequence.request, slot: slot))
        slots[slot] = sequence
        return slot
    }

    /// Adds up to `count` rows to a decoding item, as far as there are blocks that nobody else is about to need. Returns
    /// how many.
    package mutating func addDrafts(_ count: Int, to plan: inout StepPlan, at index: Int) -> Int {
        let slot = plan.items[index].slot
        while slots[slot]!.table.capacity < slots[slot]!.known + count, pool.availableCount > order.count,
            let block = pool.take()
        {
            slots[slot]!.table.blocks.append(block)
        }
        let rows = min(count, slots[slot]!.table.capacity - slots[slot]!.known, tokenBudget - plan.rows)
        plan.addDrafts(rows, at: index)
        return rows
    }

    /// Place in the queue of the sequence that starts next.
    private func nextInQueue() -> Int? {
        guard let first = queue.last else { return nil }
        let end = queue.count - 1
        if end == 0 || first.passedBy >= Self.patience { return end }
        var best = (place: end, shared: sharedBlocks(first))
        for place in stride(from: end - 1, through: max(0, queue.count - Self.window), by: -1) {
            if queue[place].priority != first.priority { break }
            let shared = sharedBlocks(queue[place])
            if shared > best.shared { best = (place, shared) }
        }
        return best.place
    }

    // MARK: Blocks

    /// Lengthens the table to hold the known tokens, or up to a block that another sequence is computing. Blocks that are
    /// ready count as computed. False when the pool has too few.
    private mutating func grow(_ sequence: inout Sequence) -> Bool {
        while sequence.table.capacity < sequence.known {
            let index = sequence.table.blocks.count
            let parent = index < sequence.shareable ? namedParent(of: index, sequence) : nil
            switch parent.map({ pool.match(sequence.tokenBlocks[index], after: $0) }) ?? .none {
            case .ready(let block):
                assert(sequence.computed == index * TokenBlock.size)
                pool.share(block)
                sequence.table.blocks.append(block)
                sequence.computed += TokenBlock.size
                if !sequence.wasPreempted { sequence.cached += TokenBlock.size }
            case .pending:
                return true
            case .none:
                guard let block = pool.take() else { return false }
                sequence.table.blocks.append(block)
                if let parent { _ = pool.name(block, sequence.tokenBlocks[index], after: parent) }
            }
        }
        return true
    }

    /// The named block before block `index` of the sequence, its root at the beginning; nil if that one has no name.
    private func namedParent(of index: Int, _ sequence: Sequence) -> Int32? {
        if index == 0 { return sequence.root }
        let parent = sequence.table.blocks[index - 1]
        return pool.isNamed(parent) ? parent : nil
    }

    /// Block `index` of the sequence has been computed: others may begin with it.
    private mutating func offer(_ index: Int, of sequence: Sequence) {
        let block = sequence.table.blocks[index]
        if !pool.isNamed(block) {
            guard index < sequence.tokenBlocks.count, let parent = namedParent(of: index, sequence),
                pool.name(block, sequence.tokenBlocks[index], after: parent)
            else { return }
        }
        pool.markReady(block)
    }

    /// Blocks of its beginning that are there or being computed.
    private func sharedBlocks(_ sequence: Sequence) -> Int {
        var parent = sequence.root
        for index in 0..<sequence.shareable {
            switch pool.match(sequence.tokenBlocks[index], after: parent) {
            case .none: return index
            case .pending: return index + 1
            case .ready(let block): parent = block
            }
        }
        return sequence.shareable
    }

    /// Blocks that the pool would lose to a waiting sequence now.
    private func missingBlocks(_ sequence: Sequence) -> Int {
        var missing = TokenBlock.count(forTokens: sequence.known)
        var parent = sequence.root
        for index in 0..<sequence.shareable {
            switch pool.match(sequence.tokenBlocks[index], after: parent) {
            case .none: return missing
            // What comes after it is not known yet.
            case .pending: return missing - 1
            case .ready(let block):
                if pool.isUsed(block) { missing -= 1 }
                parent = block
            }
        }
        return missing
    }

    /// As many pending rows of the slot as the budget allows.
    private func add(_ slot: Int, to plan: inout StepPlan) {
        let sequence = slots[slot]!
        let position = sequence.computed
        let rows = min(sequence.computable, tokenBudget - plan.rows)
        if rows <= 0 { return }
        let silent = max(0, min(sequence.outputFrom, sequence.known - 1) - position)
        plan.add(.init(slot: slot, position: position, rows: rows, outputRows: max(0, rows - silent)))
    }

    // MARK: Shared

    private mutating func vacate(_ slot: Int) -> Sequence {
        var sequence = slots[slot]!
        slots[slot] = nil
        pool.release(&sequence.table)
        freeSlotNumbers.append(slot)
        return sequence
    }

    private mutating func enqueue(_ sequence: Sequence) {
        queuedBlocks += TokenBlock.count(forTokens: sequence.known)
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
