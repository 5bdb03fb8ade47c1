// A model in a GGUF file.

package struct GGUFModel: ModelSource {
    package let file: GGUFFile
    package let configuration: ModelConfiguration

    package var path: String { file.path }

    package init(_ path: String) throws(ModelError) {
        file = try GGUFFile(path)
        let architecture = try file.architecture()
        let fields = ConfigurationFields(
            path: path, architecture: architecture, origin: .gguf(file, prefix: architecture.rawValue + "."))
        var configuration = try architecture.checkpoint.configuration(fields)
        try file.readSpecialTokens(into: &configuration)
        try configuration.check(path: path)
        self.configuration = configuration
        try checkTensors()
    }

    package var chatTemplate: String? { file.metadata["tokenizer.chat_template"]?.stringValue }

    package var byteCount: Int { file.mapping.bytes.count }

    package var digest: String { get throws(ModelError) { ModelDigest.ofFile(file.mapping) } }

    package func key(_ name: TensorName) -> String {
        architecture.checkpoint.tensors.line(name)?.gguf ?? "\(name)"
    }

    package func optionalTensor(_ name: TensorName) throws(ModelError) -> SourceTensor? {
        guard let line = architecture.checkpoint.tensors.line(name), let entry = file[line.gguf] else { return nil }
        let shape = configuration.shape(name)
        guard let tensor = file.sourceTensor(line.gguf), tensor.shape == shape else {
            throw .wrongShape(path: path, name: line.gguf, found: entry.dimensions.reversed(), expected: shape)
        }
        return tensor
    }
}

extension GGUFFile {
    /// A tensor of one or two dimensions by the name in the file; nil for a missing one, and for one of more dimensions.
    package func sourceTensor(_ name: String) -> SourceTensor? {
        guard let tensor = self[name], tensor.dimensions.count <= 2 else { return nil }
        return SourceTensor(
            name: name, shape: tensor.dimensions.reversed(), encoding: tensor.encoding, file: mapping,
            offset: tensor.offset)
    }

    fileprivate func architecture() throws(ModelError) -> Architecture {
        let key = "general.architecture"
        if let type = metadata["general.type"]?.stringValue, type != "model" {
            throw .unsupported(
                path: path, field: "key \"general.type\"", reason: "the file holds no model, but \"\(type)\"")
        }
        if let parts = metadata["split.count"]?.intValue, parts > 1 {
            throw .unsupported(
                path: path, field: "key \"split.count\"", reason: "one of \(parts) parts; join them to one file first")
        }
        guard let name = metadata[key]?.stringValue else {
            throw .invalidFile(path: path, field: "key \"\(key)\"", reason: "the key is missing, or not a string")
        }
        guard let architecture = Architecture(rawValue: name) else {
            throw .unsupported(
                path: path, field: "key \"\(key)\"",
                reason: "\"\(name)\" is not supported; \(Architecture.supported)")
        }
        return architecture
    }

    /// Tokens that end a turn in the chat formats of the supported families. Files name one end-of-text token, and for a
    /// chat model that is not always this one.
    private static let turnEnds = ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>"].map { Array($0.utf8) }

    static func endsTurn(_ token: [UInt8]) -> Bool { turnEnds.contains(token) }

    fileprivate func readSpecialTokens(into configuration: inout ModelConfiguration) throws(ModelError) {
        func id(_ name: String) throws(ModelError) -> Int? {
            let key = "tokenizer.ggml.\(name)_token_id"
            guard let value = metadata[key] else { return nil }
            guard let id = value.intValue else {
                throw .invalidFile(path: path, field: "key \"\(key)\"", reason: "an integer is expected")
            }
            return id
        }
        var ends = [try id("eos"), try id("eot"), try id("eom")].compactMap(\.self)
        if let tokens = metadata["tokenizer.ggml.tokens"]?.arrayValue {
            ends += tokens.indices(of: Set(Self.turnEnds))
        }
        configuration.setSpecialTokens(begin: try id("bos"), ends: ends)
    }
}
