// What an engine can be asked for. All kinds share its batch, its cache and its slots.
import LLMModels

/// A generation, a score or an embedding.
package protocol EngineRequest: Sendable {
    /// The caller's name for it, unique among the requests that an engine holds.
    var id: UInt64 { get }
    /// Higher starts first; first come, first served among equals.
    var priority: Int { get }
    /// What changes the model's products for it; nil for the model as it is. Requests with different ones share steps.
    var adapter: LoRAAdapter? { get }
    /// Tokens that it begins with.
    var tokenCount: Int { get }
    /// Checks the request; what the engine holds of it from then on.
    func sequence(for model: any StepModel) throws(EngineError) -> any EngineSequence
}

extension StepModel {
    /// Fails unless these are tokens of the vocabulary.
    func check(_ tokens: [Int32], _ field: String) throws(EngineError) {
        guard let index = tokens.firstIndex(where: { $0 < 0 || $0 >= vocabularySize }) else { return }
        throw .tokenOutOfRange(field: field, index: index, token: tokens[index], vocabularySize: vocabularySize)
    }

    /// Fails unless so many tokens have places.
    func check(rows: Int, field: String) throws(EngineError) {
        if rows > contextLength { throw .exceedsContext(field: field, tokens: rows, contextLength: contextLength) }
    }
}
