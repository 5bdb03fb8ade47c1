// Continuous batching: holds requests, steps them together, tells what happens. Synchronous, owned by one thread.
import LLMKernels
import LLMModels

/// For one model, request and CPU feature level the output is the same bytes whatever else is in the batch, however the
/// prompt is cut into chunks, and whether the sequence was pre-empted or resumed: rows depend on their sequence alone
/// (`StepRunner`), choices on row, tokens and (seed, position) (`Sampler`), text on tokens (`EngineSequence`).
///
/// Requests come in and go out at step boundaries: `submit` and `cancel` between calls of `step`.
package final class Engine {
    package let limits: EngineLimits
    let model: any StepModel
    let runner: any StepRunner
    let team: ThreadTeam
    var scheduler: Scheduler
    var plan: StepPlan
    var batch = StepBatch()
    /// Output rows of the step whose logits are wanted, and then those whose states are.
    var logitRows: [LogitRow] = []
    var stateRows: [StateRow] = []
    /// Tokens that may come next, of the step's draft rows in their order.
    var drafts: [Int32] = []
    var lookup = PromptLookup()
    /// Logits that are in memory at a time: what a decoding step has at most.
    let logitRoom: Int
    let outcomes: UnsafeMutablePointer<LogitOutcome>
    /// One for each thread.
    let samplers: [Sampler]
    var sequences: [UInt64: any EngineSequence] = [:]
    /// Of the requests that have one.
    private var adapters: [UInt64: LoRAAdapter] = [:]
    /// Where each adapter's prefixes begin, by its digest.
    private var roots: [String: Int32] = [:]
    var slots: [(any EngineSequence)?]
    /// Ends that need no step; told at the beginning of the next one.
    var pendingEnds: [any EngineSequence] = []
    private(set) var counters = EngineStats()
    private var rate = TokenRate()

    package init(model: any StepModel, limits: EngineLimits, team: ThreadTeam) throws(EngineError) {
        try limits.validate()
        self.model = model
        self.limits = limits
        self.team = team
        scheduler = Scheduler(
            slots: limits.maximumSequences, tokenBudget: limits.tokenBudget, blocks: limits.cacheBlocks)
        logitRoom = max(limits.maximumSequences, min(limits.draftRows, limits.tokenBudget))
        runner = model.makeRunner(
            cacheBlocks: limits.cacheBlocks, maximumRows: limits.tokenBudget,
            maximumLogitRows: logitRoom, team: team)
        plan = StepPlan(slots: limits.maximumSequences)
        slots = Array(repeating: nil, count: limits.maximumSequences)
        samplers = (0..<team.count).map { _ in Sampler(vocabularySize: model.vocabularySize) }
        outcomes = .allocate(capacity: limits.tokenBudget)
        outcomes.initialize(repeating: LogitOutcome(), count: limits.tokenBudget)
        logitRows.reserveCapacity(limits.tokenBudget)
        stateRows.reserveCapacity(limits.tokenBudget)
        drafts.reserveCapacity(limits.tokenBudget)
        batch.tokens.reserveCapacity(limits.tokenBudget)
        batch.positions.reserveCapacity(limits.tokenBudget)
        batch.sequences.reserveCapacity(limits.tokenBudget)
        batch.outputRows.reserveCapacity(limits.tokenBudget)
        let longest = TokenBlock.count(forTokens: min(model.contextLength, 4096))
        for _ in 0..<limits.maximumSequences {
            var table: [Int32] = []
            table.reserveCapacity(min(longest, limits.cacheBlocks))
            batch.blockTables.append(table)
            batch.adapters.append(nil)
        }
    }

    deinit {
        outcomes.deinitialize(count: limits.tokenBudget)
        outcomes.deallocate()
    }

    // MARK: Requests

    /// Takes a request in; it starts at the next step that has room for it. An error concerns this request alone.
    package func submit(_ request: any EngineRequest) throws(EngineError) {
        if sequences[request.id] != nil { throw .duplicateRequest(request.id) }
        if scheduler.waiting >= limits.maximumWaiting { throw .busy(waiting: scheduler.waiting) }
        if let adapter = request.adapter, !model.fits(adapter) { throw .foreignAdapter }
        let sequence = try request.sequence(for: model)
        let blocks = TokenBlock.count(forTokens: sequence.longest)
        guard blocks <= limits.cacheBlocks else {
            throw .exceedsCache(neededBlocks: blocks, cacheBlocks: limits.cacheBlocks)
        }
        sequences[request.id] = sequence
        adapters[request.id] = request.adapter
        if sequence.isComplete {
            pendingEnds.append(sequence)
        } else {
            scheduler.enqueue(
                request: request.id, priority: request.priority, known: sequence.known,
                tokenBlocks: TokenBlock.blocks(of: sequence.tokens, count: sequence.known), longest: sequence.longest,
                outputFrom: sequence.outputFrom, root: root(of: request.adapter))
        }
    }

    /// Keys and values depend on the adapter too, so its prefixes are its own.
    private func root(of adapter: LoRAAdapter?) -> Int32 {
        guard let adapter else { return BlockPool.root }
        let next = BlockPool.root - 1 - Int32(roots.count)
        let root = roots[adapter.digest] ?? next
        roots[adapter.digest] = root
        return root
    }

    /// Ends a request with what it has so far. The event comes with the next step. Unknown ids are ignored: the request
    /// may just have ended.
    package func cancel(_ id: UInt64) {
        guard let sequence = sequences[id], !sequence.isComplete else { return }
        if let slot = scheduler.cancel(request: id) { vacate(slot) }
        sequence.cancel()
        pendingEnds.append(sequence)
    }

    package func cancelAll() {
        for id in sequences.keys.sorted() { cancel(id) }
    }

    /// False when `step` would do nothing.
    package var hasWork: Bool { !scheduler.isIdle || !pendingEnds.isEmpty }

    package var stats: EngineStats {
        var stats = counters
        stats.freeSlots = scheduler.freeSlots
        stats.freeTokens = scheduler.freeTokens
        stats.running = scheduler.running
        stats.waiting = scheduler.waiting
        stats.tokensPerSecond = rate.tokensPerSecond
        return stats
    }

    // MARK: Step

    /// Computes one step and tells what came of it. Does nothing when `hasWork` is false.
    package func step(_ sink: (EngineEvent) -> Void) {
        let start = Clock.now()
        tellPendingEnds(sink)
        scheduler.plan(into: &plan)
        applyMoves()
        guard !plan.items.isEmpty else { return }
        addDrafts()
        fillBatch()
        let states = timed { runner.forward(batch) }
        evaluateLogits()
        scheduler.finishStep(plan)
        let (generated, accepted) = tellOutcomes(sink)
        tellStates(states, sink)
        if !drafts.isEmpty { judgeDrafts() }
        let end = Clock.now()
        counters.steps += 1
        counters.generatedTokens += UInt64(generated)
        counters.draftedTokens += UInt64(drafts.count)
        counters.acceptedTokens += UInt64(accepted)
        // A token comes of a row of its own, drafted or not; the other rows were to be read.
        counters.prefillTokens += UInt64(plan.rows - drafts.count - (generated - accepted))
        counters.stepNanoseconds += end - start
        rate.add(tokens: generated, nanoseconds: end - start)
    }

    private func tellPendingEnds(_ sink: (EngineEvent) -> Void) {
        for sequence in pendingEnds {
            tell(sequence.end(cachedTokens: 0), sink)
        }
        pendingEnds.removeAll(keepingCapacity: true)
    }

    /// Ends a running sequence that is complete.
    func finish(_ sequence: any EngineSequence, slot: Int, _ sink: (EngineEvent) -> Void) {
        if limits.draftRows > 0, case .logits(let reader) = sequence.reader { lookup.remember(reader.answer) }
        let cached = scheduler.slots[slot]!.cached
        counters.cachedTokens += UInt64(cached)
        leave(slot, with: sequence.end(cachedTokens: cached), sink)
    }

    /// Ends a running sequence with its last event.
    func leave(_ slot: Int, with event: EngineEvent, _ sink: (EngineEvent) -> Void) {
        scheduler.finish(slot: slot)
        vacate(slot)
        tell(event, sink)
    }

    /// Tells a sequence's last event.
    private func tell(_ event: EngineEvent, _ sink: (EngineEvent) -> Void) {
        sequences[event.request] = nil
        adapters[event.request] = nil
        if case .failed = event { counters.failed += 1 } else { counters.finished += 1 }
        sink(event)
    }

    /// `body` counts as work of the model.
    func timed<Value>(_ body: () -> Value) -> Value {
        let start = Clock.now()
        defer { counters.forwardNanoseconds += Clock.now() - start }
        return body()
    }

    private func applyMoves() {
        for move in plan.preempted { vacate(move.slot) }
        counters.preemptions += UInt64(plan.preempted.count)
        for move in plan.admitted {
            let sequence = sequences[move.request]!
            sequence.reserve()
            slots[move.slot] = sequence
            batch.adapters[move.slot] = adapters[move.request]
        }
    }

    private func vacate(_ slot: Int) {
        slots[slot] = nil
        batch.adapters[slot] = nil
        batch.blockTables[slot].removeAll(keepingCapacity: true)
    }
}
