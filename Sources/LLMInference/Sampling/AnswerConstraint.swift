// Which tokens an answer's constraint leaves to the sampler.
import LLMConstraints

/// A matcher with what the engine knows: how long the answer may get, and what ends it.
final class AnswerConstraint {
    private let matcher: ConstraintMatcher
    private let endOfText: [Int32]
    private let longest: Int
    private var taken = 0
    /// The answer came to where all the tokens left were needed to end it: it might have become longer with more of them.
    private(set) var isCutShort = false
    /// A token came that was not allowed.
    private(set) var isBroken = false

    /// Nil for a request without a constraint.
    init?(_ request: GenerationRequest, model: any StepModel) throws(EngineError) {
        guard let constraint = request.constraint else { return nil }
        let parameters = request.parameters
        for (field, isSet) in [
            ("stop", !parameters.stop.isEmpty), ("stopTokens", !parameters.stopTokens.isEmpty),
            ("ignoreEndOfText", parameters.ignoreEndOfText),
        ] where isSet {
            throw .invalidParameter(field: field, reason: "can't go with a constraint, which says where the text ends")
        }
        guard constraint.vocabularySize <= model.vocabularySize else {
            throw .invalidParameter(field: "constraint", reason: "was compiled for another vocabulary")
        }
        longest = min(parameters.maximumTokens, model.contextLength - request.prompt.count)
        guard constraint.minimumTokens <= longest else {
            throw .constraintTooLong(neededTokens: constraint.minimumTokens, availableTokens: longest)
        }
        endOfText = model.endOfTextTokens
        matcher = ConstraintMatcher(constraint)
        isCutShort = constraint.minimumTokens == longest
    }

    /// Nothing can follow.
    var isComplete: Bool { matcher.isComplete }

    func accept(_ token: Int32) {
        taken += 1
        let isAllowed = endOfText.contains(token) ? matcher.isSatisfied : matcher.accept(token)
        if !isAllowed { isBroken = true }
        if !matcher.isComplete && matcher.neededTokens >= longest - taken { isCutShort = true }
    }

    /// One bit for each token of the model that may come next.
    func fillMask(_ words: UnsafeMutablePointer<UInt64>) {
        matcher.fillMask(words, remaining: longest - taken)
        if matcher.isSatisfied {
            for token in endOfText { words[Int(token) >> 6] |= 1 << UInt64(token & 63) }
        }
    }
}

enum TokenBits {
    /// The logits of the tokens whose bit is set, −∞ for the others.
    static func select(
        _ row: UnsafePointer<Float>, _ words: UnsafePointer<UInt64>, count: Int, into out: UnsafeMutablePointer<Float>
    ) {
        for start in stride(from: 0, to: count, by: 64) {
            var word = words[start >> 6]
            let end = min(start + 64, count)
            if word == .max {
                (out + start).update(from: row + start, count: end - start)
                continue
            }
            (out + start).update(repeating: -.infinity, count: end - start)
            while word != 0 {
                let token = start + word.trailingZeroBitCount
                if token < count { out[token] = row[token] }
                word &= word - 1
            }
        }
    }
}
