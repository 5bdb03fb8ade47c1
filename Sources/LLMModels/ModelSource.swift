// The face that model files show to the rest: configuration, vocabulary and weights under names of our own, whatever
// the format.
import LLMTokenizers

/// A GGUF file or a Hugging Face folder.
package protocol ModelSource: Sendable {
    /// As it was given to `openModel`.
    var path: String { get }
    var configuration: ModelConfiguration { get }
    /// The Jinja source of the chat template, if the model has one.
    var chatTemplate: String? { get }
    /// The vocabulary with its rules.
    func tokenizer() throws(ModelError) -> Tokenizer
    /// SHA-256 as 64 hexadecimal digits: of the file, or, for a folder, of the list of its files' digests. Reads
    /// everything.
    var digest: String { get throws(ModelError) }

    /// Of its weights' files.
    var byteCount: Int { get }

    /// The tensor with the storage quirks of the format undone, its shape checked against the configuration; nil when
    /// the model has no such tensor.
    func optionalTensor(_ name: TensorName) throws(ModelError) -> SourceTensor?
    /// What the file calls the tensor, for messages.
    func key(_ name: TensorName) -> String
}

extension ModelSource {
    package var architecture: Architecture { configuration.architecture }

    package func tensor(_ name: TensorName) throws(ModelError) -> SourceTensor {
        guard let tensor = try optionalTensor(name) else { throw .missingTensor(path: path, name: key(name)) }
        return tensor
    }

    /// Looks for every tensor that the configuration asks for, so that a broken model fails when it is opened.
    func checkTensors() throws(ModelError) {
        for name in configuration.requiredTensors { _ = try tensor(name) }
    }
}

/// Opens a model: a folder as a Hugging Face checkpoint, a file as GGUF. Weights are mapped, not read.
package func openModel(_ path: String) throws(ModelError) -> any ModelSource {
    if MappedFile.isFolder(path) { return try HuggingFaceModel(path) }
    return try GGUFModel(path)
}
