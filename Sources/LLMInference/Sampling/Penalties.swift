// Penalties on tokens that a sequence has already seen.

/// What one sequence has seen, and the penalties on it. Each seen token's logit x becomes, in this order:
/// 1. repetition (prompt and output; Hugging Face): x < 0 ? x · repetitionPenalty : x / repetitionPenalty,
/// 2. frequency (output; OpenAI): x − frequencyPenalty · count,
/// 3. presence (output; OpenAI): x − presencePenalty.
struct Penalties {
    private let repetition: Float
    private let presence: Float
    private let frequency: Float
    /// Seen token → how often it is in the output.
    private var outputCounts: [Int32: Int32] = [:]

    init(_ parameters: SamplingParameters, prompt: some Collection<Int32>, vocabularySize: Int) {
        repetition = parameters.repetitionPenalty
        presence = parameters.presencePenalty
        frequency = parameters.frequencyPenalty
        outputCounts.reserveCapacity(min(vocabularySize, prompt.count + min(parameters.maximumTokens, 4096)))
        for token in prompt { outputCounts[token] = 0 }
    }

    mutating func add(outputToken token: Int32) { outputCounts[token, default: 0] += 1 }

    func apply(to row: UnsafeMutablePointer<Float>) {
        for (token, count) in outputCounts {
            var logit = row[Int(token)]
            logit = logit < 0 ? logit * repetition : logit / repetition
            if count > 0 {
                logit -= frequency * Float(count)
                logit -= presence
            }
            row[Int(token)] = logit
        }
    }
}
