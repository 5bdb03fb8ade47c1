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
        configuration = try ModelConfiguration(
            huggingFace: folder.configuration, generation: folder.generation, path: path + "/config.json")
        chatTemplate = try folder.chatTemplate()
        let table = configuration.architecture.checkpoint.tensors
        let embedding = table.line(.tokenEmbedding)!.huggingFace
        prefix = table.prefixes.first { [folder] in folder.tensor($0 + embedding) != nil } ?? table.prefixes[0]
        try checkTensors()
    }

    package var byteCount: Int { folder.shards.reduce(0) { $0 + $1.mapping.bytes.count } }

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

extension ModelConfiguration {
    /// - Parameters:
    ///   - file: the content of `config.json`.
    ///   - generation: the content of `generation_config.json`, which lists the ends of text of a chat model, too.
    ///   - path: of `config.json`, for messages.
    package init(huggingFace file: JSONValue, generation: JSONValue? = nil, path: String) throws(ModelError) {
        guard let type = file["model_type"]?.stringValue else {
            throw .invalidFile(path: path, field: "key \"model_type\"", reason: "the key is missing, or not a string")
        }
        guard let architecture = Architecture(modelType: type) else {
            throw .unsupported(
                path: path, field: "key \"model_type\"",
                reason: "\"\(type)\" is not supported; \(Architecture.supported)")
        }
        if file["quantization_config"] ?? .null != .null {
            throw .unsupported(
                path: path, field: "key \"quantization_config\"", reason: "quantised checkpoints are not supported")
        }
        // Gemma 3 with a vision tower keeps the language model's keys in an object of their own.
        let nested = architecture == .gemma3 ? file["text_config"] : nil
        let members = nested?.objectValue == nil ? file : nested!
        self = try architecture.checkpoint.configuration(
            ConfigurationFields(path: path, architecture: architecture, origin: .huggingFace(members)))
        let ends = [generation, file, members].flatMap { place -> [Int] in
            let value = place?["eos_token_id"]
            return value?.arrayValue?.compactMap(\.intValue) ?? (value?.intValue.map { [$0] } ?? [])
        }
        let begin = [members, file, generation].lazy.compactMap { $0?["bos_token_id"]?.intValue }.first
        setSpecialTokens(begin: begin, ends: ends)
        try check(path: path)
    }
}

extension HuggingFaceFolder {
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
