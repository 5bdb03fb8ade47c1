// What must hold between the numbers of a configuration before anything is computed or allocated from them.

extension ModelConfiguration {
    /// Fails with a `ModelError` of this file unless the numbers fit together.
    func check(path: String) throws(ModelError) {
        func fail(_ field: String, _ reason: String) -> ModelError {
            .invalidFile(path: path, field: field, reason: reason)
        }
        guard headCount.isMultiple(of: keyValueHeadCount) else {
            throw fail("head count", "\(headCount) query heads cannot share \(keyValueHeadCount) key-value heads")
        }
        guard headSize.isMultiple(of: 2) else { throw fail("head size", "\(headSize) is odd") }
        guard querySize <= Bounds.width.upperBound else {
            throw fail("head count", "\(headCount) heads of \(headSize) are wider than \(Bounds.width.upperBound)")
        }
    }

    /// Notes the special tokens that a file names. Ids outside the vocabulary, which no text can contain, are left out.
    mutating func setSpecialTokens(begin: Int?, ends: [Int]) {
        func token(_ id: Int) -> Int32? { (0..<vocabularySize).contains(id) ? Int32(id) : nil }
        beginOfText = begin.flatMap(token)
        endOfText = []
        for end in ends.compactMap(token) where !endOfText.contains(end) { endOfText.append(end) }
    }
}
