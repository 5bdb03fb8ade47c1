// A text while its states are pooled.

/// The sum of a mean is taken in the order of the positions, in double precision: chunks change nothing.
final class EmbeddingSequence: StateReader {
    let id: UInt64
    let tokens: [Int32]
    private let pooling: EmbeddingRequest.Pooling
    private let normalizes: Bool
    private var sums: [Double]
    /// Positions that are in the sums, or needn't be.
    private var pooled: Int
    private var isCancelled = false

    init(_ request: EmbeddingRequest, size: Int) {
        id = request.id
        tokens = request.tokens
        pooling = request.pooling
        normalizes = request.normalizes
        sums = Array(repeating: 0, count: size)
        pooled = request.pooling == .mean ? 0 : request.tokens.count - 1
    }

    var known: Int { tokens.count }
    var longest: Int { tokens.count }
    /// The cache has no states, so a mean can't begin with blocks of others.
    var outputFrom: Int { pooling == .mean ? 0 : tokens.count - 1 }
    var reader: RowReader { .states(self) }
    var isComplete: Bool { isCancelled || pooled == tokens.count }

    func reserve() {}

    func cancel() { isCancelled = true }

    func take(state: UnsafePointer<Float>, at position: Int) {
        guard position == pooled else { return }
        for index in sums.indices { sums[index] += Double(state[index]) }
        pooled += 1
    }

    func end(cachedTokens: Int) -> EngineEvent {
        if isCancelled { return .failed(request: id, .cancelled) }
        var scale = pooling == .mean ? 1 / Double(tokens.count) : 1
        if normalizes {
            let length = sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
            scale = length == 0 ? 0 : 1 / length
        }
        let vector = sums.map { Float($0 * scale) }
        guard vector.allSatisfy(\.isFinite) else { return .failed(request: id, .invalidState) }
        let usage = TokenUsage(promptTokens: tokens.count, completionTokens: 0, cachedTokens: cachedTokens)
        return .embedded(request: id, EmbeddingOutput(vector: vector, usage: usage))
    }
}
