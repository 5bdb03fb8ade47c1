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
    /// What each row of logits is for.
    var logitRows: [LogitRow] = []
    let outcomes: UnsafeMutablePointer<LogitOutcome>
    /// One for each thread.
    let samplers: [Sampler]
    var sequences: [UInt64: EngineSequence] = [:]
    var slots: [EngineSequence?]
    /// Ends that need no step; told at the beginning of the next one.
    var pendingEnds: [EngineSequence] = []
    private(set) var counters = EngineStats()
    private var rate = TokenRate()

    package init(model: any StepModel, limits: EngineLimits, team: ThreadTeam) throws(EngineError) {
        try limits.validate()
        self.model = model
        self.limits = limits
        self.team = team
        scheduler = Scheduler(
            slots: limits.maximumSequences, tokenBudget: limits.tokenBudget, blocks: limits.cacheBlocks)
        runner = model.makeRunner(
            cacheBlocks: limits.cacheBlocks, maximumRows: limits.tokenBudget,
            maximumLogitRows: scheduler.logitBudget, team: team)
        plan = StepPlan(slots: limits.maximumSequences)
        slots = Array(repeating: nil, count: limits.maximumSequences)
        samplers = (0..<team.count).map { _ in Sampler(vocabularySize: model.vocabularySize) }
        outcomes = .allocate(capacity: scheduler.logitBudget)
        outcomes.initialize(repeating: LogitOutcome(), count: scheduler.logitBudget)
        logitRows.reserveCapacity(scheduler.logitBudget)
        batch.tokens.reserveCapacity(limits.tokenBudget)
        batch.positions.reserveCapacity(limits.tokenBudget)
        batch.sequences.reserveCapacity(limits.tokenBudget)
        batch.logitRows.reserveCapacity(scheduler.logitBudget)
        let longest = TokenBlock.count(forTokens: min(model.contextLength, 4096))
        for _ in 0..<limits.maximumSequences {
            var table: [Int32] = []
            table.reserveCapacity(min(longest, limits.cacheBlocks))
            batch.blockTables.append(table)
        }
    }

    deinit {
        outcomes.deinitialize(count: scheduler.logitBudget)
        outcomes.deallocate()
    }

    // MARK: Requests

    /// Takes a request in; it starts at the next step that has room for it. An error concerns this request alone.
    package func submit(_ request: GenerationRequest) throws(EngineError) {
        try check(request)
        let sequence = try EngineSequence(request, model: model)
        let blocks = TokenBlock.count(forTokens: sequence.longest)
        guard blocks <= limits.cacheBlocks else {
            throw .exceedsCache(neededBlocks: blocks, cacheBlocks: limits.cacheBlocks)
        }
        sequences[request.id] = sequence
        if sequence.isComplete {
            pendingEnds.append(sequence)
        } else {
            scheduler.enqueue(
                request: request.id, priority: request.priority, known: sequence.known,
                tokenBlocks: TokenBlock.blocks(of: sequence.tokens, count: sequence.known), longest: sequence.longest,
                logitsFrom: sequence.logitsFrom)
        }
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

    private func check(_ request: GenerationRequest) throws(EngineError) {
        let parameters = request.parameters
        try parameters.validate()
        func checkTokens(_ tokens: [Int32], _ field: String) throws(EngineError) {
            let size = model.vocabularySize
            guard let index = tokens.firstIndex(where: { $0 < 0 || $0 >= size }) else { return }
            throw .tokenOutOfRange(field: field, index: index, token: tokens[index], vocabularySize: size)
        }
        if request.prompt.isEmpty { throw .emptyPrompt }
        if request.prompt.count >= model.contextLength {
            throw .promptTooLong(tokens: request.prompt.count, contextLength: model.contextLength)
        }
        try checkTokens(request.prompt, "prompt")
        try checkTokens(request.resumeTokens, "resumeTokens")
        try checkTokens(parameters.stopTokens, "stopTokens")
        if sequences[request.id] != nil { throw .duplicateRequest(request.id) }
        if scheduler.waiting >= limits.maximumWaiting { throw .busy(waiting: scheduler.waiting) }
    }

    // MARK: Step

    /// Computes one step and tells what came of it. Does nothing when `hasWork` is false.
    package func step(_ sink: (EngineEvent) -> Void) {
        let start = Clock.now()
        tellPendingEnds(sink)
        scheduler.plan(into: &plan)
        applyMoves()
        guard !plan.items.isEmpty else { return }
        fillBatch()
        let forwardStart = Clock.now()
        let logits = runner.forward(batch)
        counters.forwardNanoseconds += Clock.now() - forwardStart
        evaluate(logits)
        scheduler.finishStep(plan)
        let generated = tellOutcomes(sink)
        let end = Clock.now()
        counters.steps += 1
        counters.generatedTokens += UInt64(generated)
        counters.prefillTokens += UInt64(plan.rows - generated)
        counters.stepNanoseconds += end - start
        rate.add(tokens: generated, nanoseconds: end - start)
    }

    private func tellPendingEnds(_ sink: (EngineEvent) -> Void) {
        for sequence in pendingEnds {
            sequences[sequence.id] = nil
            counters.finished += 1
            sink(.finished(request: sequence.id, sequence.output()))
        }
        pendingEnds.removeAll(keepingCapacity: true)
    }

    /// Ends a running sequence.
    func finish(_ sequence: EngineSequence, slot: Int, _ sink: (EngineEvent) -> Void) {
        sequence.cachedTokens = min(scheduler.slots[slot]!.cached, sequence.promptCount)
        counters.cachedTokens += UInt64(sequence.cachedTokens)
        scheduler.finish(slot: slot)
        vacate(slot)
        sequences[sequence.id] = nil
        counters.finished += 1
        sink(.finished(request: sequence.id, sequence.output()))
    }

    func fail(_ sequence: EngineSequence, slot: Int, _ error: EngineError, _ sink: (EngineEvent) -> Void) {
        scheduler.finish(slot: slot)
        vacate(slot)
        sequences[sequence.id] = nil
        counters.failed += 1
        sink(.failed(request: sequence.id, error))
    }

    private func applyMoves() {
        for move in plan.preempted { vacate(move.slot) }
        counters.preemptions += UInt64(plan.preempted.count)
        for move in plan.admitted {
            let sequence = sequences[move.request]!
            sequence.reserve()
            slots[move.slot] = sequence
        }
    }

    private func vacate(_ slot: Int) {
        slots[slot] = nil
        batch.blockTables[slot].removeAll(keepingCapacity: true)
    }
}
