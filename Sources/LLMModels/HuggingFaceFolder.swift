// A folder as `save_pretrained` writes it: JSON files, and weights in one or several safetensors files.
import JSON

/// The files of a checkpoint, opened and indexed, not yet interpreted.
package struct HuggingFaceFolder: Sendable {
    package let path: String
    /// `config.json`
    package let configuration: JSONValue
    /// `generation_config.json`, `tokenizer_config.json`; nil where there is no such file.
    package let generation: JSONValue?
    package let tokenizerConfiguration: JSONValue?
    package let shards: [SafetensorsFile]
    /// Tensor name → index of its shard.
    private let shardIndices: [String: Int]

    package init(_ path: String) throws(ModelError) {
        self.path = path
        guard let configuration = try Self.json("config.json", in: path) else {
            throw .unreadable(path: path, reason: "the folder has no config.json")
        }
        self.configuration = configuration
        generation = try Self.json("generation_config.json", in: path)
        tokenizerConfiguration = try Self.json("tokenizer_config.json", in: path)
        (shards, shardIndices) = try Self.weights(in: path)
    }

    package func tensor(_ name: String) -> (tensor: SafetensorsTensor, file: MappedFile)? {
        shardIndices[name].map { (shards[$0][name]!, shards[$0].mapping) }
    }

    /// Of all files, in their order.
    var tensors: [(tensor: SafetensorsTensor, file: MappedFile)] {
        shards.flatMap { shard in
            shard.tensors.compactMap { self.tensor($0.name)?.file === shard.mapping ? ($0, shard.mapping) : nil }
        }
    }

    /// The text of a file of the folder; nil when there is none.
    package func bytes(_ name: String) throws(ModelError) -> [UInt8]? {
        try Self.file(name, in: path).map { [UInt8]($0.bytes) }
    }

    /// SHA-256 over the list of those files that define the model: a README may change without changing it.
    package func digest() throws(ModelError) -> String {
        var files = shards.map { (name: Self.lastComponent($0.path), digest: ModelDigest.ofFile($0.mapping)) }
        for name in Self.definingNames + [Self.indexName] {
            if let file = try Self.file(name, in: path) { files.append((name, ModelDigest.ofFile(file))) }
        }
        return ModelDigest.ofFiles(files)
    }

    // MARK: Files

    /// What defines a model beside its weights.
    private static let definingNames = [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    ]
    /// Everything but the weights that others may want of a copy.
    static let textNames =
        definingNames + [
            "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
        ]
    private static let indexName = "model.safetensors.index.json"
    /// The largest tokenizer.json in use has about 35 MB.
    private static let maximumTextBytes = 256 << 20
    private static let maximumShards = 1_024

    private static func file(_ name: String, in folder: String) throws(ModelError) -> MappedFile? {
        let path = folder + "/" + name
        return MappedFile.exists(path) ? try MappedFile(path, maximumSize: maximumTextBytes) : nil
    }

    private static func json(_ name: String, in folder: String) throws(ModelError) -> JSONValue? {
        guard let file = try file(name, in: folder) else { return nil }
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue(parsing: file.bytes) } catch {
            throw .invalidFile(path: file.path, field: "JSON", reason: "\(error)")
        }
        guard value.objectValue != nil else {
            throw .invalidFile(path: file.path, field: "JSON", reason: "an object is expected, not a \(value.typeName)")
        }
        return value
    }

    private static func weights(in folder: String) throws(ModelError) -> ([SafetensorsFile], [String: Int]) {
        guard let index = try json(indexName, in: folder) else {
            let path = folder + "/model.safetensors"
            guard MappedFile.exists(path) else {
                throw .unreadable(path: folder, reason: "the folder has no model.safetensors and no \(indexName)")
            }
            let file = try SafetensorsFile(path)
            return ([file], Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, 0) }))
        }
        func invalid(_ field: String, _ reason: String) -> ModelError {
            .invalidFile(path: folder + "/" + indexName, field: field, reason: reason)
        }
        guard let map = index["weight_map"]?.objectValue else { throw invalid("weight_map", "an object is expected") }
        var shards: [SafetensorsFile] = []
        var numbers: [String: Int] = [:]
        var indices: [String: Int] = [:]
        for (tensor, value) in map {
            guard let name = value.stringValue, isPlainName(name) else {
                throw invalid("weight_map[\"\(tensor)\"]", "\(value.text()) is no name of a file in this folder")
            }
            if numbers[name] == nil {
                guard shards.count < maximumShards else {
                    throw invalid("weight_map", "more than \(maximumShards) files")
                }
                numbers[name] = shards.count
                shards.append(try SafetensorsFile(folder + "/" + name))
            }
            let number = numbers[name]!
            guard shards[number][tensor] != nil else { throw .missingTensor(path: shards[number].path, name: tensor) }
            indices[tensor] = number
        }
        return (shards, indices)
    }

    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 }) && name != "."
            && name != ".."
    }

    private static func lastComponent(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }
}
