// An answer while it grows: its tokens, its text and how it ends.

/// The state that `accept` builds depends on the tokens alone, so replaying resumed tokens gives the state of a run that
/// was never interrupted.
final class GenerationSequence: LogitReader {
    let id: UInt64
    let parameters: SamplingParameters
    let promptCount: Int
    /// Prompt and output.
    private(set) var tokens: [Int32]
    private(set) var penalties: Penalties?
    let constraint: AnswerConstraint?
    private(set) var logprobs: [TokenLogprob] = []
    private(set) var end: (reason: FinishReason, match: StopMatch?)?

    private let contextLength: Int
    private let endOfText: [Int32]
    private var decoder: any TextDecoder
    private var matcher: StopMatcher
    private var text = ""
    private var pace = DraftPace()

    /// - Throws: `invalidResume` and what a constraint is not possible with. Everything else has been checked.
    init(_ request: GenerationRequest, model: any StepModel) throws(EngineError) {
        id = request.id
        parameters = request.parameters
        promptCount = request.prompt.count
        tokens = request.prompt
        contextLength = model.contextLength
        endOfText = request.parameters.ignoreEndOfText ? [] : model.endOfTextTokens
        decoder = model.makeTextDecoder()
        matcher = StopMatcher(request.parameters.stop)
        if parameters.penalises {
            penalties = Penalties(parameters, prompt: request.prompt, vocabularySize: model.vocabularySize)
        }
        constraint = try AnswerConstraint(request, model: model)
        for (index, token) in request.resumeTokens.enumerated() {
            if end != nil {
                throw .invalidResume(
                    reason: "the answer ends after \(index) of the \(request.resumeTokens.count) tokens")
            }
            _ = accept(token)
            if constraint?.isBroken == true {
                throw .invalidResume(reason: "token \(index) is not what the constraint allows there")
            }
        }
    }

    var outputCount: Int { tokens.count - promptCount }

    /// An answer of full length; its last token never gets a row.
    var longest: Int { promptCount + longestOutput - 1 }

    private var longestOutput: Int { min(parameters.maximumTokens, contextLength - promptCount) }

    /// Tokens whose rows are still worth computing: all while the answer goes on; when it ended with the resumed tokens
    /// and only log-probabilities are missing, all but the last.
    var known: Int { end == nil ? tokens.count : tokens.count - 1 }

    /// Those of resumed tokens' log-probabilities.
    var outputFrom: Int { parameters.wantsLogprobs && outputCount > 0 ? promptCount - 1 : .max }

    var reader: RowReader { .logits(self) }

    var isComplete: Bool { end != nil && (!parameters.wantsLogprobs || logprobs.count == outputCount) }

    func reserve() {
        tokens.reserveCapacity(promptCount + longestOutput)
        text.reserveCapacity(min(longestOutput * 4, 1 << 16))
        if parameters.wantsLogprobs { logprobs.reserveCapacity(longestOutput) }
    }

    func evaluate(_ logits: UnsafePointer<Float>, at position: Int, _ sampler: Sampler) -> LogitOutcome {
        var outcome = LogitOutcome()
        if position + 1 < tokens.count {
            outcome.token = tokens[position + 1]
        } else {
            outcome.token = sampler.choose(
                logits, parameters, penalties, position: position + 1 - promptCount, constraint: constraint)
        }
        guard parameters.wantsLogprobs, let token = outcome.token else { return outcome }
        guard let normaliser = sampler.logNormaliser(logits) else { return LogitOutcome() }
        outcome.logprob = sampler.logprob(
            of: token, logits, alternatives: parameters.logprobs, logNormaliser: normaliser)
        return outcome
    }

    func take(_ outcome: LogitOutcome, at position: Int, _ sink: (EngineEvent) -> Void) -> Bool {
        let index = position + 1 - promptCount
        if let logprob = outcome.logprob, index == logprobs.count { logprobs.append(logprob) }
        guard let token = outcome.token, index == outputCount else { return false }
        let text = accept(token)
        sink(
            .token(GeneratedToken(request: id, index: index, token: token, text: text, logprob: outcome.logprob)))
        return true
    }

    func draft(atMost count: Int, _ lookup: borrowing PromptLookup, into drafts: inout [Int32]) {
        // Penalties and constraints at a drafted token's successor would need the state after it.
        guard penalties == nil, constraint == nil else { return }
        let wanted = pace.next()
        lookup.draft(after: tokens, atMost: min(count, wanted), into: &drafts)
    }

    func learn(drafted: Int, accepted: Int) { pace.learn(drafted: drafted, accepted: accepted) }

    var answer: ArraySlice<Int32> { tokens[promptCount...] }

    /// Takes the next output token; sets `end` when it is the last. Returns the text that became certain.
    ///
    /// Looked at in this order: end-of-text tokens, stop tokens, stop strings, the constraint's end,
    /// `maximumTokens`, the context's end.
    func accept(_ token: Int32) -> String {
        tokens.append(token)
        penalties?.add(outputToken: token)
        constraint?.accept(token)
        var delta = ""
        if endOfText.contains(token) {
            end = constraint?.isCutShort == true ? (.length, nil) : (.stop, .endOfText(token))
        } else if parameters.stopTokens.contains(token) {
            end = (.stop, .token(token))
        } else {
            delta = matcher.append(decoder.append(token))
            if constraint?.isComplete == true {
                end = constraint?.isCutShort == true ? (.length, nil) : (.stop, .constraint)
            } else if matcher.match == nil && (outputCount == parameters.maximumTokens || tokens.count == contextLength)
            {
                end = (.length, nil)
            }
        }
        if end != nil {
            delta += matcher.append(decoder.finish())
            delta += matcher.finish()
        }
        if let stop = matcher.match { end = (.stop, .string(stop)) }
        text += delta
        return delta
    }

    func cancel() { end = (.cancelled, nil) }

    func end(cachedTokens: Int) -> EngineEvent {
        let usage = TokenUsage(
            promptTokens: promptCount, completionTokens: outputCount, cachedTokens: min(cachedTokens, promptCount))
        return .finished(
            request: id,
            GenerationOutput(
                tokens: Array(tokens[promptCount...]), text: text, finishReason: end?.reason ?? .cancelled,
                stopMatch: end?.match, usage: usage, logprobs: logprobs))
    }
}
