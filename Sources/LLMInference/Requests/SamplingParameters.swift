// How the next token is chosen and when an answer ends. Limits are checked here, once, with errors that name the field.

/// One request's sampling settings. The order in which they act is fixed and written down at `Sampler`.
package struct SamplingParameters: Sendable, Hashable {
    /// Tokens to generate at most, 1 or more; resumed tokens count.
    package var maximumTokens: Int
    /// 0 = greedy (the first of the largest logits), otherwise logits are divided by it; 0…100.
    package var temperature: Float
    /// Keep the `topK` largest logits (and all equal to the smallest of them); 0 = off.
    package var topK: Int
    /// Keep the smallest set of most probable tokens whose sum reaches `topP`; (0, 1], 1 = off.
    package var topP: Float
    /// Drop tokens less probable than `minP` times the most probable one; 0…1, 0 = off.
    package var minP: Float
    /// Divides positive and multiplies negative logits of tokens in prompt and output (Keskar et al. 2019); (0, 100], 1 = off.
    package var repetitionPenalty: Float
    /// Subtracted once from tokens that are in the output; −2…2.
    package var presencePenalty: Float
    /// Subtracted once for each time that a token is in the output; −2…2.
    package var frequencyPenalty: Float
    /// Key of the random numbers. The same seed gives the same answer, whatever else runs beside it.
    package var seed: UInt64
    /// The text ends before the first of these strings.
    package var stop: [String]
    /// Tokens that end the answer and stay out of the text.
    package var stopTokens: [Int32]
    /// −1 = none, 0 = of the chosen token, 1…20 = also of that many most probable tokens.
    package var logprobs: Int
    /// Go on after the model's end-of-text tokens (for measuring).
    package var ignoreEndOfText: Bool

    package init(
        maximumTokens: Int = 256, temperature: Float = 0, topK: Int = 0, topP: Float = 1, minP: Float = 0,
        repetitionPenalty: Float = 1, presencePenalty: Float = 0, frequencyPenalty: Float = 0, seed: UInt64 = 0,
        stop: [String] = [], stopTokens: [Int32] = [], logprobs: Int = -1, ignoreEndOfText: Bool = false
    ) {
        self.maximumTokens = maximumTokens
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.seed = seed
        self.stop = stop
        self.stopTokens = stopTokens
        self.logprobs = logprobs
        self.ignoreEndOfText = ignoreEndOfText
    }

    package static let maximumStops = 64
    package static let maximumStopBytes = 1024
    package static let maximumStopTokens = 256
    package static let maximumLogprobs = 20

    var penalises: Bool { repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0 }
    var wantsLogprobs: Bool { logprobs >= 0 }

    /// Checks every field on its own; what depends on the model (token ids, lengths) is checked at admission.
    package func validate() throws(EngineError) {
        func require(_ holds: Bool, _ field: String, _ reason: @autoclosure () -> String) throws(EngineError) {
            if !holds { throw .invalidParameter(field: field, reason: reason()) }
        }
        // Comparisons are written so that NaN fails them.
        try require(maximumTokens >= 1, "maximumTokens", "must be 1 or more, is \(maximumTokens)")
        try require(temperature >= 0 && temperature <= 100, "temperature", "must be 0…100, is \(temperature)")
        try require(topK >= 0, "topK", "must be 0 (off) or more, is \(topK)")
        try require(topP > 0 && topP <= 1, "topP", "must be more than 0 and at most 1, is \(topP)")
        try require(minP >= 0 && minP <= 1, "minP", "must be 0…1, is \(minP)")
        try require(
            repetitionPenalty > 0 && repetitionPenalty <= 100, "repetitionPenalty",
            "must be more than 0 and at most 100, is \(repetitionPenalty)")
        try require(abs(presencePenalty) <= 2, "presencePenalty", "must be −2…2, is \(presencePenalty)")
        try require(abs(frequencyPenalty) <= 2, "frequencyPenalty", "must be −2…2, is \(frequencyPenalty)")
        try require(
            stop.count <= Self.maximumStops, "stop", "at most \(Self.maximumStops) strings, are \(stop.count)")
        for (index, text) in stop.enumerated() {
            let count = text.utf8.count
            try require(count > 0, "stop[\(index)]", "must not be empty")
            try require(
                count <= Self.maximumStopBytes, "stop[\(index)]",
                "at most \(Self.maximumStopBytes) bytes of UTF-8, are \(count)")
        }
        try require(
            stopTokens.count <= Self.maximumStopTokens, "stopTokens",
            "at most \(Self.maximumStopTokens), are \(stopTokens.count)")
        try require(
            logprobs >= -1 && logprobs <= Self.maximumLogprobs, "logprobs",
            "must be −1 (none) to \(Self.maximumLogprobs), is \(logprobs)")
    }
}
