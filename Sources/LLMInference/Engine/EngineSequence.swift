// One accepted request as the engine sees it, whatever it asks for.

package protocol EngineSequence: AnyObject {
    var id: UInt64 { get }
    /// All that are known so far.
    var tokens: [Int32] { get }
    /// How many of them have rows to be computed.
    var known: Int { get }
    /// Rows that it may come to have.
    var longest: Int { get }
    /// First position whose output is wanted besides the last known one's.
    var outputFrom: Int { get }
    /// Who takes the outputs.
    var reader: RowReader { get }
    /// True when nothing has to be computed any more.
    var isComplete: Bool { get }

    /// Before the first step: makes room, so that steps don't allocate.
    func reserve()
    /// Ends it with what it has.
    func cancel()
    /// The last event. Only when it is complete.
    /// - Parameter cachedTokens: rows that were not computed, because the cache had them.
    func end(cachedTokens: Int) -> EngineEvent
}

/// What a sequence wants of its rows.
package enum RowReader {
    case logits(any LogitReader)
    case states(any StateReader)
}

package protocol LogitReader: EngineSequence {
    /// What comes of the logits at a position. Called on any thread; changes nothing.
    func evaluate(_ logits: UnsafePointer<Float>, at position: Int, _ sampler: Sampler) -> LogitOutcome
    /// Takes what came of them. After a pre-emption a position may come a second time, with the same outcome.
    /// - Returns: whether there is one more token.
    func take(_ outcome: LogitOutcome, at position: Int, _ sink: (EngineEvent) -> Void) -> Bool

    /// Appends up to `count` tokens that may come next. Asked once a step at most.
    func draft(atMost count: Int, _ lookup: borrowing PromptLookup, into drafts: inout [Int32])
    /// How many of the drafted tokens came.
    func learn(drafted: Int, accepted: Int)
    /// What it generated.
    var answer: ArraySlice<Int32> { get }
}

extension LogitReader {
    func draft(atMost count: Int, _ lookup: borrowing PromptLookup, into drafts: inout [Int32]) {}
    func learn(drafted: Int, accepted: Int) {}
    var answer: ArraySlice<Int32> { [] }
}

package protocol StateReader: EngineSequence {
    /// Takes the state after the last norm at a position. After a pre-emption one may come a second time, the same.
    func take(state: UnsafePointer<Float>, at position: Int)
}

/// What came of one row of logits. `token` is nil when the row is unusable.
package struct LogitOutcome {
    /// The chosen or, for a score, the most probable token.
    var token: Int32?
    var logprob: TokenLogprob?
    /// Of a score's further last tokens.
    var endings: [TokenLogprob] = []
}

extension EngineSequence {
    func token(at position: Int) -> Int32? {
        let tokens = tokens
        return position < tokens.count ? tokens[position] : nil
    }

    /// The block of tokens that the last one completed, if it did.
    var lastBlock: TokenBlock? {
        tokens.count % TokenBlock.size == 0 ? TokenBlock(tokens, from: tokens.count - TokenBlock.size) : nil
    }
}
