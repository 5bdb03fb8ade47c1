// The middle of a step: from plan to batch, from outputs to events.

/// A row whose logits its sequence wants.
struct LogitRow {
    var slot: Int
    var position: Int
    /// With which it is computed.
    var token: Int32
    var isDraft: Bool
    var reader: any LogitReader
}

/// A row whose state its sequence wants.
struct StateRow {
    var slot: Int
    var position: Int
    /// In the batch.
    var row: Int32
    var reader: any StateReader
}

extension Engine {
    func fillBatch() {
        batch.tokens.removeAll(keepingCapacity: true)
        batch.positions.removeAll(keepingCapacity: true)
        batch.sequences.removeAll(keepingCapacity: true)
        batch.outputRows.removeAll(keepingCapacity: true)
        logitRows.removeAll(keepingCapacity: true)
        stateRows.removeAll(keepingCapacity: true)
        var nextDraft = 0
        for item in plan.items {
            let sequence = slots[item.slot]!
            let blocks = scheduler.slots[item.slot]!.table.blocks
            for index in batch.blockTables[item.slot].count..<blocks.count {
                batch.blockTables[item.slot].append(blocks[index])
            }
            let tokens = sequence.tokens
            for row in 0..<item.rows {
                let position = item.position + row, isDraft = row >= item.rows - item.draftRows
                let token = isDraft ? drafts[nextDraft] : tokens[position]
                if isDraft { nextDraft += 1 }
                if row >= item.rows - item.outputRows {
                    addOutput(item.slot, position, token, isDraft: isDraft, sequence.reader)
                }
                batch.tokens.append(token)
                batch.positions.append(Int32(position))
                batch.sequences.append(Int32(item.slot))
            }
        }
        for index in stateRows.indices { batch.outputRows.append(stateRows[index].row) }
    }

    /// Notes that the output of the batch's next row is wanted.
    private func addOutput(_ slot: Int, _ position: Int, _ token: Int32, isDraft: Bool, _ reader: RowReader) {
        let row = Int32(batch.tokens.count)
        switch reader {
        case .logits(let reader):
            batch.outputRows.append(row)
            logitRows.append(
                LogitRow(slot: slot, position: position, token: token, isDraft: isDraft, reader: reader))
        case .states(let reader):
            stateRows.append(StateRow(slot: slot, position: position, row: row, reader: reader))
        }
    }

    /// Computes logits, as many as there is room for at a time, and what comes of them.
    func evaluateLogits() {
        var start = 0
        while start < logitRows.count {
            let places = start..<min(start + logitRoom, logitRows.count)
            evaluate(places, timed { runner.logits(places) })
            start = places.upperBound
        }
    }

    /// Chooses tokens and takes log-probabilities, rows spread over the team.
    private func evaluate(_ places: Range<Int>, _ logits: UnsafePointer<Float>) {
        let size = model.vocabularySize
        let first = places.lowerBound
        // A closure costs two allocations: not for what one thread does anyway.
        if places.count == 1 || samplers.count == 1 {
            for index in 0..<places.count { evaluate(first + index, logits + index * size, samplers[0]) }
        } else {
            team.run(parts: places.count) { index, thread in
                evaluate(first + index, logits + index * size, samplers[thread])
            }
        }
    }

    private func evaluate(_ index: Int, _ logits: UnsafePointer<Float>, _ sampler: Sampler) {
        outcomes[index] = logitRows[index].reader.evaluate(logits, at: logitRows[index].position, sampler)
    }

    /// Hands every outcome to its sequence and tells it. Returns how many tokens are new, and how many drafts came true.
    func tellOutcomes(_ sink: (EngineEvent) -> Void) -> (generated: Int, accepted: Int) {
        var generated = 0, accepted = 0
        for index in logitRows.indices {
            let use = logitRows[index]
            // The sequence may have ended with an earlier row of this step, or a draft was wrong.
            guard let sequence = slots[use.slot], sequence.token(at: use.position) == use.token else { continue }
            if use.isDraft {
                scheduler.confirmDraft(slot: use.slot)
                accepted += 1
            }
            guard outcomes[index].token != nil else {
                leave(
                    use.slot, with: .failed(request: sequence.id, .invalidLogits(position: use.position)), sink)
                continue
            }
            if use.reader.take(outcomes[index], at: use.position, sink) {
                generated += 1
                if !sequence.isComplete { scheduler.extend(slot: use.slot, completing: sequence.lastBlock) }
            }
            if sequence.isComplete { finish(sequence, slot: use.slot, sink) }
        }
        logitRows.removeAll(keepingCapacity: true)
        return (generated, accepted)
    }

    /// Hands states to those who want them.
    /// - Parameter states: of all output rows, those of `stateRows` behind the ones with logits.
    func tellStates(_ states: UnsafePointer<Float>, _ sink: (EngineEvent) -> Void) {
        let first = batch.outputRows.count - stateRows.count
        for index in stateRows.indices {
            let use = stateRows[index]
            use.reader.take(state: states + (first + index) * model.hiddenSize, at: use.position)
            if use.reader.isComplete { finish(use.reader, slot: use.slot, sink) }
        }
        stateRows.removeAll(keepingCapacity: true)
    }
}
