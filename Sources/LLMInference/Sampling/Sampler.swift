// Chooses one token from one row of logits. The choice is a function of the row, the parameters, the tokens seen and
// (seed, position); nothing else can change a byte of it.
import Foundation
import LLMKernels

/// The order is that of Hugging Face `generate` (processors, then warpers):
/// repetition penalty → frequency and presence penalties → temperature → top-k → top-p → min-p → draw.
/// Each filter works on the distribution that the ones before it left, renormalised. (vLLM applies min-p before top-k
/// and top-p instead; where only one filter is used the two agree.)
///
/// The draw inverts the cumulative distribution over ascending token ids with the uniform number of (seed, index of the
/// token in the output).
///
/// Holds scratch memory for one row; use one per thread.
package final class Sampler {
    let vocabularySize: Int
    /// Probability of each candidate, among those that were there when it was computed.
    private let weights: UnsafeMutablePointer<Float>
    /// The row after penalties.
    private let penalised: UnsafeMutablePointer<Float>
    private let blockSums: UnsafeMutablePointer<Double>
    /// Token of each candidate; unused while every token is one.
    private let tokens: UnsafeMutablePointer<Int32>
    private let keys: UnsafeMutablePointer<UInt64>
    private let buckets: UnsafeMutablePointer<Double>

    /// Weights 1…2⁻¹²⁶ in eighths of an octave, and one bucket for what is smaller.
    private static let bucketCount = 127 * 8 + 1
    private static let floors: [Float] = [0x1p-8, 0x1p-16, 0x1p-24, 0]

    package init(vocabularySize: Int) {
        self.vocabularySize = vocabularySize
        weights = .allocate(capacity: vocabularySize)
        penalised = .allocate(capacity: vocabularySize)
        blockSums = .allocate(capacity: vocabularySize / RowMath.blockSize + 1)
        tokens = .allocate(capacity: vocabularySize)
        keys = .allocate(capacity: max(vocabularySize, SamplingParameters.maximumLogprobs))
        buckets = .allocate(capacity: Self.bucketCount)
    }

    deinit {
        weights.deallocate()
        penalised.deallocate()
        blockSums.deallocate()
        tokens.deallocate()
        keys.deallocate()
        buckets.deallocate()
    }

    /// The chosen token; nil when the row has NaN, +∞ or nothing but −∞.
    /// - Parameters:
    ///   - row: `vocabularySize` logits.
    ///   - position: index of the token in the output.
    func choose(
        _ row: UnsafePointer<Float>, _ parameters: SamplingParameters, _ penalties: Penalties?, position: Int
    ) -> Int32? {
        let row = penalise(row, penalties)
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
        let row = penalise(row, penalties)
        guard let maximum = RowMath.maximum(row, count: vocabularySize) else { return nil }
        let candidates = filter(row, maximum: maximum, parameters)
        var probabilities = [Double](repeating: 0, count: vocabularySize)
        for index in 0..<candidates.count {
            probabilities[Int(token(of: index, candidates))] = Double(weights[index]) / candidates.total
        }
        return probabilities
    }

    private func penalise(_ row: UnsafePointer<Float>, _ penalties: Penalties?) -> UnsafePointer<Float> {
        guard let penalties else { return row }
        penalised.update(from: row, count: vocabularySize)
        penalties.apply(to: penalised)
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
        return Double(maximum) - log(Double(RowMath.maximum(weights, count: vocabularySize)!))
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
        var total: Double
    }

    private func token(of index: Int, _ candidates: Candidates) -> Int32 {
        candidates.isWholeVocabulary ? Int32(index) : tokens[index]
    }

    private func filter(_ row: UnsafePointer<Float>, maximum: Float, _ parameters: SamplingParameters) -> Candidates {
        var candidates = Candidates(count: vocabularySize, isWholeVocabulary: true, total: 0)
        var logits = row
        if parameters.topK > 0 && parameters.topK < vocabularySize {
            var threshold = OrderedKey.value(~largest(row, parameters.topK).root)
            var count = 0
            RowMath.forEach(row, count: vocabularySize, atLeast: &threshold) { index, logit, _ in
                tokens[count] = Int32(index)
                weights[count] = logit
                count += 1
                return true
            }
            candidates = Candidates(count: count, isWholeVocabulary: false, total: 0)
            logits = UnsafePointer(weights)
        }
        RowMath.scale(
            logits, count: candidates.count, maximum: maximum, temperature: parameters.temperature, into: weights)
        let buffer = UnsafeMutableBufferPointer(start: weights, count: candidates.count)
        softmax(UnsafeBufferPointer(buffer), into: buffer)
        candidates.total = RowMath.sums(weights, count: candidates.count, into: blockSums)
        if parameters.topP < 1 || parameters.minP > 0 {
            let largest = RowMath.maximum(weights, count: candidates.count)!
            var cut = OrderedKey.make(parameters.minP * largest, Int(UInt32.max))
            if parameters.topP < 1 { cut = max(cut, nucleus(candidates, Double(parameters.topP), largest: largest)) }
            candidates = keep(candidates, from: cut)
        }
        return candidates
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

    /// Key of the last candidate, in order of falling weight, that the smallest set with a share of `topP` has.
    private func nucleus(_ candidates: Candidates, _ topP: Double, largest: Float) -> UInt64 {
        // A peaked distribution, the usual one, needs a look at few candidates: those below a floor matter only if the
        // ones above it don't reach the share.
        let goal = topP * candidates.total
        for floor in Self.floors {
            if let key = nucleus(candidates, goal, floor: floor * largest) { return key }
        }
        return 0
    }

    private func nucleus(_ candidates: Candidates, _ goal: Double, floor: Float) -> UInt64? {
        buckets.update(repeating: 0, count: Self.bucketCount)
        var threshold = floor
        RowMath.forEach(weights, count: candidates.count, atLeast: &threshold) { _, weight, _ in
            buckets[Self.bucket(weight)] += Double(weight)
            return true
        }
        var sum = 0.0
        var last = 0
        while last < Self.bucketCount && sum + buckets[last] < goal {
            sum += buckets[last]
            last += 1
        }
        if last == Self.bucketCount { return nil }
        // Inside of the bucket where the sum reaches the goal, one by one.
        var count = 0
        threshold = max(floor, Self.smallestWeight(bucket: last))
        RowMath.forEach(weights, count: candidates.count, atLeast: &threshold) { index, weight, _ in
            if Self.bucket(weight) == last {
                keys[count] = OrderedKey.make(weight, index)
                count += 1
            }
            return true
        }
        var heap = KeyHeap(keys, count: count)
        var key: UInt64 = 0
        while heap.count > 0 && sum < goal {
            key = heap.popRoot()
            sum += Double(OrderedKey.value(key))
        }
        return key
    }

    /// 0 for weight 1, growing as the weight falls.
    private static func bucket(_ weight: Float) -> Int {
        min(bucketCount - 1, Int(((1 as Float).bitPattern - weight.bitPattern) >> 20))
    }

    private static func smallestWeight(bucket: Int) -> Float {
        Float(bitPattern: UInt32(max(0, Int((1 as Float).bitPattern) - ((bucket + 1) << 20) + 1)))
    }

    /// Drops the candidates whose key is below `key`.
    private func keep(_ candidates: Candidates, from key: UInt64) -> Candidates {
        var threshold = OrderedKey.value(key)
        var count = 0
        RowMath.forEach(weights, count: candidates.count, atLeast: &threshold) { index, weight, _ in
            if OrderedKey.make(weight, index) >= key {
                tokens[count] = token(of: index, candidates)
                weights[count] = weight
                count += 1
            }
            return true
        }
        var total = 0.0
        var start = 0
        while start < count {
            var sum = 0.0
            for index in start..<min(start + RowMath.blockSize, count) { sum += Double(weights[index]) }
            blockSums[start / RowMath.blockSize] = sum
            total += sum
            start += RowMath.blockSize
        }
        return Candidates(count: count, isWholeVocabulary: false, total: total)
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
        for index in start..<min(start + RowMath.blockSize, candidates.count) where weights[index] > 0 {
            chosen = index
            if rest < Double(weights[index]) { break }
            rest -= Double(weights[index])
        }
        return chosen
    }
}
