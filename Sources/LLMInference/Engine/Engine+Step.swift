// The middle of a step: from plan to batch, from logits to events.

/// What one row of logits is for: the token at `outputIndex` of the sequence in `slot`.
struct LogitRow {
    var slot: Int
    var outputIndex: Int
}

/// What came of one row of logits. `token` is nil when the row is unusable.
struct LogitOutcome {
    var token: Int32?
    var logprob: TokenLogprob?
}

extension Engine {
    func fillBatch() {
        batch.tokens.removeAll(keepingCapacity: true)
        batch.positions.removeAll(keepingCapacity: true)
        batch.sequences.removeAll(keepingCapacity: true)
        batch.logitRows.removeAll(keepingCapacity: true)
        logitRows.removeAll(keepingCapacity: true)
        for item in plan.items {
            let sequence = slots[item.slot]!
            let blocks = scheduler.slots[item.slot]!.table.blocks
            for index in batch.blockTables[item.slot].count..<blocks.count {
                batch.blockTables[item.slot].append(blocks[index])
            }
            for row in 0..<item.rows {
                let position = item.position + row
                if row >= item.rows - item.logitRows {
                    batch.logitRows.append(Int32(batch.tokens.count))
                    logitRows.append(LogitRow(slot: item.slot, outputIndex: position + 1 - sequence.promptCount))
                }
                batch.tokens.append(sequence.tokens[position])
                batch.positions.append(Int32(position))
                batch.sequences.append(Int32(item.slot))
            }
        }
    }

    /// Chooses tokens and takes log-probabilities, rows spread over the team.
    func evaluate(_ logits: UnsafePointer<Float>) {
        let size = model.vocabularySize
        // A closure costs two allocations: not for what one thread does anyway.
        if logitRows.count == 1 || samplers.count == 1 {
            for index in logitRows.indices { outcomes[index] = evaluate(index, logits + index * size, samplers[0]) }
        } else {
            team.run(parts: logitRows.count) { index, thread in
                outcomes[index] = evaluate(index, logits + index * size, samplers[thread])
            }
        }
    }

    private func evaluate(_ index: Int, _ row: UnsafePointer<Float>, _ sampler: Sampler) -> LogitOutcome {
        let use = logitRows[index]
        let sequence = slots[use.slot]!
        let parameters = sequence.parameters
        var outcome = LogitOutcome()
        if use.outputIndex < sequence.outputCount {
            outcome.token = sequence.tokens[sequence.promptCount + use.outputIndex]
        } else {
            outcome.token = sampler.choose(
                row, parameters, sequence.penalties, position: use.outputIndex, constraint: sequence.constraint)
        }
        guard parameters.wantsLogprobs, let token = outcome.token else { return outcome }
        guard let normaliser = sampler.logNormaliser(row) else { return LogitOutcome() }
        outcome.logprob = TokenLogprob(
            token: token, logprob: Float(Double(row[Int(token)]) - normaliser),
            top: sampler.alternatives(row, count: parameters.logprobs, logNormaliser: normaliser))
        return outcome
    }

    /// Hands every outcome to its sequence and tells it. Returns how many tokens are new.
    func tellOutcomes(_ sink: (EngineEvent) -> Void) -> Int {
        var generated = 0
        for index in logitRows.indices {
            let use = logitRows[index]
            // The sequence may have ended with an earlier row of this step.
            guard let sequence = slots[use.slot] else { continue }
            let outcome = outcomes[index]
            guard let token = outcome.token else {
                fail(
                    sequence, slot: use.slot, .invalidLogits(position: use.outputIndex + sequence.promptCount - 1), sink
                )
                continue
            }
            // After a pre-emption a log-probability may come a second time, the same.
            if let logprob = outcome.logprob, use.outputIndex == sequence.logprobs.count { sequence.append(logprob) }
            if use.outputIndex == sequence.outputCount {
                generated += 1
                let text = sequence.accept(token)
                sink(
                    .token(
                        GeneratedToken(
                            request: sequence.id, index: use.outputIndex, token: token, text: text,
                            logprob: outcome.logprob)))
                if sequence.end == nil { scheduler.extend(slot: use.slot, completing: sequence.lastBlock) }
            }
            if sequence.isComplete { finish(sequence, slot: use.slot, sink) }
        }
        return generated
    }
}
