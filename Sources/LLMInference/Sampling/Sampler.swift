// Chooses one token from one row of logits. The choice is a function of the row, the parameters, the tokens seen and
// (seed, position); nothing else can change a byte of it.
import Foundation
import LLMKernels

/// The order is that of Hugging Face `generate` (processors, then warpers):
/// constraint → repetition penalty → frequency and presence penalties → temperature → top-k → top-p → min-p → draw.
/// Each filter works on the distribution that the ones before it left, renormalised. (vLLM applies min-p before top-k
/// and top-p instead; where only one filter is used the two agree.)
///
/// The draw inverts the cumulative distribution over ascending token ids with the uniform number of (seed, index of the
/// token in the output).
///
/// Holds scratch memory for one row; use one per thread.
package final class Sampler {
    let vocabularySize: Int
    /// Probability of each candidate before top-p and min-p.
    private let weights: UnsafeMutablePointer<Float>
    /// The row after constraint and penalties.
    private let penalised: UnsafeMutablePointer<Float>
    /// One bit for each token that the constraint allows.
    private let allowed: UnsafeMutablePointer<UInt64>
    private let blockSums: UnsafeMutablePointer<Double>
    /// Token of each candidate; unused while every token is one.
    private let tokens: UnsafeMutablePointer<Int32>
    private let keys: UnsafeMutablePointer<UInt64>
    /// Few enough to be put in order one by one.
    private static let fewCandidates = 256

    package init(vocabularySize: Int) {
        self.vocabularySize = vocabularySize
        weights = .allocate(capacity: vocabularySize)
        penalised = .allocate(capacity: vocabularySize)
        allowed = .allocate(capacity: vocabularySize / 64 + 1)
        blockSums = .allocate(capacity: vocabularySize / RowMath.blockSize + 1)
        tokens = .allocate(capacity: vocabularySize)
        keys = .allocate(capacity: max(vocabularySize, SamplingParameters.maximumLogprobs))
    }

    deinit {
        weights.deallocate()
        penalised.deallocate()
        allowed.deallocate()
        blockSums.deallocate()
        tokens.deallocate()
        keys.deallocate()
    }

    /// The chosen token; nil when the row has NaN, +∞ or nothing but −∞.
    /// - Parameters:
    ///   - row: `vocabularySize` logits.
    ///   - position: index of the token in the output.
    func choose(
        _ row: UnsafePointer<Float>, _ parameters: SamplingParameters, _ penalties: Penalties?, position: Int,
        constraint: AnswerConstraint? = nil
    ) -> Int32? {
        // What the constraint hides must not hide a broken row.
        if constraint != nil && RowMath.maximum(row, count: vocabularySize) == nil { return nil }
        let row = prepare(row, penalties, constraint)
        guard let maximum = RowMath.maximum(row, count: vocabularySize) else { return nil }
        if parameters.temperature == 0 {
            return Int32(RowMath.firstIndex(row, count: vocabularySize, of: maximum))
        }
        let candidates = filter(row, maximum: maximum, parameters)
        let uniform = RandomStream(seed: parameters.seed).uniform(at: UInt64(position))
        return token(of: draw(candidates, uniform), candidates)
    }

    /// What `choose` draws from, normalised. For a temperature above 0; nil as for `choose`.
    func distribution(_ row: UnsafePointer<Float>, _ parameters: SamplingParameters, _ penalties: Penalties?)
        -> [Double]?
    {
        let row = prepare(row, penalties, nil)
        guard let maximum = RowMath.maximum(row, count: vocabularySize) else { return nil }
        let candidates = filter(row, maximum: maximum, parameters)
        var probabilities = [Double](repeating: 0, count: vocabularySize)
        for index in 0..<candidates.count where candidates.cut.contains(weights[index], at: index) {
            probabilities[Int(token(of: index, candidates))] = Double(weights[index]) / candidates.total
        }
        return probabilities
    }

    private func prepare(
        _ row: UnsafePointer<Float>, _ penalties: Penalties?, _ constraint: AnswerConstraint?
    ) -> UnsafePointer<Float> {
        if penalties == nil && constraint == nil { return row }
        if let constraint {
            constraint.fillMask(allowed)
            TokenBits.select(row, allowed, count: vocabularySize, into: penalised)
        } else {
            penalised.update(from: row, count: vocabularySize)
        }
        penalties?.apply(to: penalised)
        return UnsafePointer(penalised)
    }

    // MARK: Log-probabilities

    /// log Σ exp(row); nil as for `choose`.
    func logNormaliser(_ row: UnsafePointer<Float>) -> Double? {
        guard let maximum = RowMath.maximum(row, count: vocabularySize) else { return nil }
        softmax(
            UnsafeBufferPointer(start: row, count: vocabularySize),
            into: UnsafeMutableBufferPointer(start: weights, count: vocabularySize))
        // The largest probability is 1 / Σ exp(row − maximum).
        let largest = weights[RowMath.firstIndex(row, count: vocabularySize, of: maximum)]
        return Double(maximum) - log(Double(largest))
    }

    /// A token's log-probability, and the most probable tokens.
    func logprob(
        of token: Int32, _ row: UnsafePointer<Float>, alternatives count: Int, logNormaliser: Double
    ) -> TokenLogprob {
        TokenLogprob(
            token: token, logprob: Float(Double(row[Int(token)]) - logNormaliser),
            top: alternatives(row, count: count, logNormaliser: logNormaliser))
    }

    /// The lowest id among equals; nil as for `choose`.
    func mostProbable(_ row: UnsafePointer<Float>) -> Int32? {
        RowMath.maximum(row, count: vocabularySize).map {
            Int32(RowMath.firstIndex(row, count: vocabularySize, of: $0))
        }
    }

    /// The `count` most probable tokens, the lower id first among equals.
    func alternatives(_ row: UnsafePointer<Float>, count: Int, logNormaliser: Double) -> [TokenLogprob.Alternative] {
        var heap = largest(row, min(count, vocabularySize))
        var alternatives: [TokenLogprob.Alternative] = []
        alternatives.reserveCapacity(heap.count)
        while heap.count > 0 {
            let key = ~heap.popRoot()
            let logit = OrderedKey.value(key)
            alternatives.append(
                .init(token: Int32(OrderedKey.index(key)), logprob: Float(Double(logit) - logNormaliser)))
        }
        alternatives.reverse()
        return alternatives
    }

    // MARK: Filters

    private struct Candidates {
        var count: Int
        /// Every token is a candidate, and its index is its id.
        var isWholeVocabulary: Bool
        /// Which of them top-p and min-p leave.
        var cut = RowMath.Cut.none
        /// The weights of those.
        var total = 0.0
    }

    private func token(of index: Int, _ candidates: Candidates) -> Int32 {
        candidates.isWholeVocabulary ? Int32(index) : tokens[index]
    }

    private func filter(_ row: UnsafePointer<Float>, maximum: Float, _ parameters: SamplingParameters) -> Candidates {
        var candidates = Candidates(count: vocabularySize, isWholeVocabulary: true)
        var logits = row
        if parameters.topK > 0 && parameters.topK < vocabularySize {
            candidates = Candidates(count: gather(row, largest: parameters.topK), isWholeVocabulary: false)
            logits = UnsafePointer(weights)
        }
        // A temperature near zero has no finite reciprocal.
        let factor = min(1 / parameters.temperature, .greatestFiniteMagnitude)
        RowMath.scale(logits, count: candidates.count, maximum: maximum, by: factor, into: weights)
        let buffer = UnsafeMutableBufferPointer(start: weights, count: candidates.count)
        softmax(UnsafeBufferPointer(buffer), into: buffer)
        candidates.total = sums(candidates)
        if parameters.topP < 1 || parameters.minP > 0 {
            let largest = RowMath.maximum(weights, count: candidates.count)!
            if parameters.topP < 1 { candidates.cut = nucleus(candidates, Double(parameters.topP), largest: largest) }
            let floor = parameters.minP * largest
            if floor > candidates.cut.value { candidates.cut = RowMath.Cut(value: floor, index: .max) }
            candidates.total = sums(candidates)
        }
        return candidates
    }

    private func sums(_ candidates: Candidates) -> Double {
        RowMath.sums(weights, count: candidates.count, from: candidates.cut, into: blockSums)
    }

    /// Makes the `count` largest logits, and all equal to the smallest of them, the candidates; returns their number.
    private func gather(_ row: UnsafePointer<Float>, largest count: Int) -> Int {
        var threshold = OrderedKey.value(~largest(row, count).root)
        var gathered = 0
        RowMath.forEach(row, count: vocabularySize, atLeast: &threshold) { index, logit, _ in
            tokens[gathered] = Int32(index)
            weights[gathered] = logit
            gathered += 1
            return true
        }
        return gathered
    }

    /// A heap of the complemented keys of the `count` largest logits; its root is the smallest of them.
    private func largest(_ row: UnsafePointer<Float>, _ count: Int) -> KeyHeap {
        var heap = KeyHeap(keys)
        if count == 0 { return heap }
        var threshold = -Float.infinity
        RowMath.forEach(row, count: vocabularySize, atLeast: &threshold) { index, logit, threshold in
            let key = ~OrderedKey.make(logit, index)
            if heap.count < count {
                heap.insert(key)
            } else if key < heap.root {
                heap.replaceRoot(key)
            }
            if heap.count == count { threshold = OrderedKey.value(~heap.root) }
            return true
        }
        return heap
    }

    /// The last candidate, in order of falling weight, of the smallest set with a share of `topP`.
    ///
    /// Narrows a range of weights around it, by sums alone, until few candidates are in the range; only those are put
    /// in order. A peaked distribution, the usual one, takes one or two passes.
    private func nucleus(_ candidates: Candidates, _ topP: Double, largest: Float) -> RowMath.Cut {
        let goal = topP * candidates.total
        // The set reaches down into low..<high: down to `low` the sum reaches the goal, down to `high` it doesn't.
        var low = (value: Float(0), count: candidates.count)
        var high = (value: Float.infinity, count: 0, sum: 0.0)
        var probe = largest * 0x1p-8
        while low.count - high.count > Self.fewCandidates && probe > low.value && probe < high.value {
            let (sum, count) = RowMath.sum(weights, count: candidates.count, atLeast: probe)
            if sum >= goal { low = (probe, count) } else { high = (probe, count, sum) }
            if low.value == 0 {
                probe = high.value * 0x1p-8
            } else {
                // Halfway between the bit patterns, which are in the order of the values.
                let top = min(high.value, largest.nextUp).bitPattern
                probe = Float(bitPattern: low.value.bitPattern + (top - low.value.bitPattern) / 2)
            }
        }
        var count = 0
        var threshold = low.value
        RowMath.forEach(weights, count: candidates.count, atLeast: &threshold, below: high.value) { index, weight, _ in
            keys[count] = OrderedKey.make(weight, index)
            count += 1
            return true
        }
        var heap = KeyHeap(keys, count: count)
        var sum = high.sum
        var last: UInt64 = 0
        while heap.count > 0 && sum < goal {
            last = heap.popRoot()
            sum += Double(OrderedKey.value(last))
        }
        return RowMath.Cut(value: OrderedKey.value(last), index: OrderedKey.index(last))
    }

    // MARK: Draw

    /// Index of the candidate at `uniform` of the cumulative distribution.
    private func draw(_ candidates: Candidates, _ uniform: Double) -> Int {
        var rest = uniform * candidates.total
        // Rounding may leave the last step of the walk a little short: then it is the last one with any weight.
        var chosenBlock = 0
        for block in 0..<(candidates.count + RowMath.blockSize - 1) / RowMath.blockSize where blockSums[block] > 0 {
            chosenBlock = block
            if rest < blockSums[block] { break }
            rest -= blockSums[block]
        }
        var chosen = 0
        let start = chosenBlock * RowMath.blockSize
        for index in start..<min(start + RowMath.blockSize, candidates.count)
        where weights[index] > 0 && candidates.cut.contains(weights[index], at: index) {
            chosen = index
            if rest < Double(weights[index]) { break }
            rest -= Double(weights[index])
        }
        return chosen
    }
}
