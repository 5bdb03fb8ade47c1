// The constraints that a model's jobs have asked for lately.
import Synchronization

/// Bounded: the one that was asked for longest ago makes room. Requests keep what they use.
package final class ConstraintCache: Sendable {
    private struct State: Sendable {
        var vocabulary: Vocabulary?
        var constraints: [[UInt8]: (constraint: TokenConstraint, lastUse: UInt64)] = [:]
        var clock: UInt64 = 0
    }

    private let makeVocabulary: @Sendable () -> Vocabulary
    private let state = Mutex(State())

    /// - Parameter vocabulary: made when the first constraint is asked for.
    package init(vocabulary: @escaping @Sendable () -> Vocabulary) { makeVocabulary = vocabulary }

    package func constraint(_ source: ConstraintSource) throws(ConstraintError) -> TokenConstraint {
        let key = source.key
        let (known, vocabulary) = state.withLock { state in
            state.clock += 1
            state.constraints[key]?.lastUse = state.clock
            return (state.constraints[key]?.constraint, state.vocabulary)
        }
        if let known { return known }
        let words = vocabulary ?? makeVocabulary()
        let constraint = try TokenConstraint(source, vocabulary: words)
        return state.withLock { state in
            state.vocabulary = words
            // Another thread may have been quicker.
            if let known = state.constraints[key]?.constraint { return known }
            if state.constraints.count >= ConstraintLimits.cachedConstraints {
                let oldest = state.constraints.min { $0.value.lastUse < $1.value.lastUse }!
                state.constraints[oldest.key] = nil
            }
            state.constraints[key] = (constraint, state.clock)
            return constraint
        }
    }
}
