// A model in a Hugging Face folder.
import JSON

package struct HuggingFaceModel: ModelSource {
    package let folder: HuggingFaceFolder
    package let configuration: ModelConfiguration
    package let chatTemplate: String?
    /// What stands before the names of tensors in this checkpoint.
    private let prefix: String

    package var path: String { folder.path }

    package init(_ path: String) throws(ModelError) {
        folder = try HuggingFaceFolder(path)
        let (architecture, members) = try folder.textConfiguration()
        let fields = ConfigurationFields(
            path: path + "/config.json", architecture: architecture, origin: .huggingFace(members))
        var configuration = try architecture.checkpoint.configuration(fields)
        folder.readSpecialTokens(members, into: &configuration)
        try configuration.check(path: path + "/config.json")
        self.configuration = configuration
        chatTemplate = try folder.chatTemplate()
        let table = architecture.checkpoint.tensors
        let embedding = table.line(.tokenEmbedding)!.huggingFace
        prefix = table.prefixes.first { [folder] in folder.tensor($0 + embedding) != nil } ?? table.prefixes[0]
        try checkTensors()
    }

    package var digest: String { get throws(ModelError) { try folder.digest() } }

    package func key(_ name: TensorName) -> String {
        guard let line = architecture.checkpoint.tensors.line(name) else { return "\(name)" }
        guard name == .output else { return prefix + line.huggingFace }
        // The LM head stands beside the model, not in it.
        return (prefix.hasSuffix(".model.") ? prefix.dropLast("model.".count) : "") + line.huggingFace
    }

    package func optionalTensor(_ name: TensorName) throws(ModelError) -> SourceTensor? {
        let key = key(name)
        guard let line = architecture.checkpoint.tensors.line(name), let (tensor, file) = folder.tensor(key) else {
            return nil
        }
        let shape = configuration.shape(name)
        let stored = line.quirk == .transposed ? shape.reversed() : shape
        guard tensor.shape == stored else {
            throw .wrongShape(path: file.path, name: key, found: tensor.shape, expected: stored)
        }
        guard let encoding = tensor.encoding else {
            throw .unsupported(
                path: file.path, field: "tensor \"\(key)\"",
                reason: "type \(tensor.type) is not supported; F32, F16 and BF16 are")
        }
        return SourceTensor(
            name: key, shape: shape, encoding: encoding, file: file, offset: tensor.offset, quirk: line.quirk)
    }
}

extension HuggingFaceFolder {
    /// The family, and the part of `config.json` that describes the language model.
    fileprivate func textConfiguration() throws(ModelError) -> (Architecture, JSONValue) {
        let file = path + "/config.json"
        guard let type = configuration["model_type"]?.stringValue else {
            throw .invalidFile(path: file, field: "key \"model_type\"", reason: "the key is missing, or not a string")
        }
        guard let architecture = Architecture(modelType: type) else {
            throw .unsupported(
                path: file, field: "key \"model_type\"",
                reason: "\"\(type)\" is not supported; \(Architecture.supported)")
        }
        if configuration["quantization_config"] ?? .null != .null {
            throw .unsupported(
                path: file, field: "key \"quantization_config\"", reason: "quantised checkpoints are not supported")
        }
        // Gemma 3 with a vision tower keeps the language model's keys in an object of their own.
        let nested = configuration["text_config"]
        return (architecture, architecture == .gemma3 && nested?.objectValue != nil ? nested! : configuration)
    }

    /// Ends of text from all the places that name one: generation_config.json lists those of a chat model, too.
    fileprivate func readSpecialTokens(_ members: JSONValue, into configuration: inout ModelConfiguration) {
        let places = [generation, self.configuration, members].compactMap(\.self)
        let ends = places.flatMap { place -> [Int] in
            let value = place["eos_token_id"]
            return value?.arrayValue?.compactMap(\.intValue) ?? (value?.intValue.map { [$0] } ?? [])
        }
        let begin = [members, self.configuration, generation].lazy
            .compactMap { $0?["bos_token_id"]?.intValue }.first
        configuration.setSpecialTokens(begin: begin, ends: ends)
    }

    /// chat_template.jinja, else the template (of several: the one named "default") in tokenizer_config.json.
    fileprivate func chatTemplate() throws(ModelError) -> String? {
        if let bytes = try bytes("chat_template.jinja") {
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw .invalidFile(path: path + "/chat_template.jinja", field: "text", reason: "not valid UTF-8")
            }
            return text
        }
        guard let value = tokenizerConfiguration?["chat_template"], value != .null else { return nil }
        if let text = value.stringValue { return text }
        guard let list = value.arrayValue else {
            throw .invalidFile(
                path: path + "/tokenizer_config.json", field: "key \"chat_template\"",
                reason: "a string or a list is expected")
        }
        let chosen = list.first { $0["name"]?.stringValue == "default" } ?? list.first
        return chosen?["template"]?.stringValue
    }
}
