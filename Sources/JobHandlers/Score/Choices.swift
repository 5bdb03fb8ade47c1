// Continuations of one prompt as few requests: those that differ in their last token alone are read once.
import LLMInference

/// Letters to choose from, yes or no: one row of logits answers them all.
struct Choices {
    struct Request: Equatable {
        var pair: ContinuationEncoder.Pair
        /// Last tokens of the further choices.
        var endings: [Int32] = []
    }

    private(set) var requests: [Request] = []
    /// For each choice its request, and its place in the endings; nil for the one that the request is made of.
    private var places: [(request: Int, ending: Int?)] = []

    init(_ pairs: [ContinuationEncoder.Pair]) {
        var known: [ContinuationEncoder.Pair: Int] = [:]
        for pair in pairs {
            let beginning = ContinuationEncoder.Pair(
                tokens: Array(pair.tokens.dropLast()), firstScored: pair.firstScored)
            if let request = known[beginning] {
                places.append((request, requests[request].endings.count))
                requests[request].endings.append(pair.tokens[pair.tokens.count - 1])
            } else {
                known[beginning] = requests.count
                places.append((requests.count, nil))
                requests.append(Request(pair: pair))
            }
        }
    }

    /// One for each choice.
    func scores(_ outputs: [ScoreOutput]) -> [ScoreOutput] {
        places.map { place in place.ending.map { outputs[place.request].ending($0) } ?? outputs[place.request] }
    }
}
