// An adapter as PEFT's `save_pretrained` writes it: adapter_config.json and adapter_model.safetensors.
import JSON

struct PEFTAdapter {
    private static let configurationName = "adapter_config.json"
    private static let weightsName = "adapter_model.safetensors"
    private static let maximumTextBytes = 1 << 24
    private static let prefix = "base_model.model."

    private let path: String
    private let text: MappedFile
    private let configuration: JSONValue
    private let weights: SafetensorsFile

    init(_ path: String) throws(ModelError) {
        self.path = path
        for name in [Self.configurationName, Self.weightsName] where !MappedFile.exists(path + "/" + name) {
            throw .unreadable(path: path, reason: "the folder has no \(name)")
        }
        text = try MappedFile(path + "/" + Self.configurationName, maximumSize: Self.maximumTextBytes)
        do throws(JSONError) { configuration = try JSONValue(parsing: text.bytes) } catch {
            throw .invalidFile(path: text.path, field: "JSON", reason: "\(error)")
        }
        weights = try SafetensorsFile(path + "/" + Self.weightsName)
    }

    func source(for base: any ModelSource) throws(ModelError) -> AdapterSource {
        try refuseWhatIsNoPlainLoRA()
        let scaling = try Scaling(configuration, path: text.path)
        var parts = AdapterParts(path: weights.path, configuration: base.configuration, style: .halves)
        let matrices = AdaptedProduct.matrices(of: base.configuration, \.huggingFace)
        for tensor in weights.tensors {
            let isA = tensor.name.hasSuffix(".lora_A.weight")
            guard tensor.name.hasPrefix(Self.prefix), isA || tensor.name.hasSuffix(".lora_B.weight"),
                case let module = String(
                    tensor.name.dropFirst(Self.prefix.count).dropLast(".lora_A.weight".count)),
                let matrix = matrices[module + ".weight"]
            else {
                throw .unsupported(
                    path: weights.path, field: "tensor \"\(tensor.name)\"",
                    reason: AdaptedProduct.expected(base.configuration))
            }
            guard let encoding = tensor.encoding, tensor.shape.count == 2 else {
                throw .unsupported(
                    path: weights.path, field: "tensor \"\(tensor.name)\"",
                    reason: "\(tensor.type) \(tensor.shape) is not supported; matrices of F32, F16 and BF16 are")
            }
            let source = SourceTensor(
                name: tensor.name, shape: tensor.shape, encoding: encoding, file: weights.mapping,
                offset: tensor.offset)
            try parts.add(source, isA: isA, layer: matrix.layer, matrix.tensor) { scaling.factor(module, rank: $0) }
        }
        let files = [
            (name: Self.configurationName, digest: ModelDigest.ofFile(text)),
            (name: Self.weightsName, digest: ModelDigest.ofFile(weights.mapping)),
        ]
        return AdapterSource(
            path: path, digest: ModelDigest.ofFiles(files),
            bytes: Int64(text.bytes.count + weights.mapping.bytes.count), updates: try parts.updates())
    }

    /// Everything that would change the model otherwise than by A and B.
    private func refuseWhatIsNoPlainLoRA() throws(ModelError) {
        func unsupported(_ key: String, _ reason: String) -> ModelError {
            .unsupported(path: text.path, field: "key \"\(key)\"", reason: reason)
        }
        guard configuration["peft_type"]?.stringValue == "LORA" else {
            throw unsupported(
                "peft_type", "\(configuration["peft_type"]?.text() ?? "nothing") is not supported; \"LORA\" is")
        }
        for key in ["use_dora", "lora_bias", "use_qalora", "use_bdlora"] where configuration[key]?.boolValue == true {
            throw unsupported(key, "true is not supported")
        }
        if let bias = configuration["bias"]?.stringValue, bias != "none" {
            throw unsupported("bias", "\"\(bias)\" is not supported; \"none\" is")
        }
        for key in [
            "modules_to_save", "layer_replication", "trainable_token_indices", "alora_invocation_tokens",
            "target_parameters", "kasa_config",
        ] {
            let value = configuration[key] ?? .null
            let isEmpty = value == .null || value.arrayValue?.isEmpty == true || value.objectValue?.isEmpty == true
            guard isEmpty else { throw unsupported(key, "is not supported") }
        }
        // These begin with a base whose weights they have changed.
        if let start = configuration["init_lora_weights"]?.stringValue,
            ["pissa", "olora", "corda"].contains(where: start.hasPrefix)
        {
            throw unsupported("init_lora_weights", "\"\(start)\" is not supported: it changes the base as well")
        }
    }
}

/// What B·A is multiplied by: alpha / rank, or alpha / √rank for rank-stabilised adapters (Kalajdzievski 2023), alpha by
/// module.
private struct Scaling {
    private let alpha: Double
    private let patterns: [(pattern: String, alpha: Double)]
    private let isRankStabilised: Bool

    init(_ configuration: JSONValue, path: String) throws(ModelError) {
        func number(_ key: String, _ value: JSONValue?) throws(ModelError) -> Double {
            guard let number = value?.doubleValue, number.isFinite else {
                throw .invalidFile(path: path, field: "key \"\(key)\"", reason: "a number is expected")
            }
            return number
        }
        alpha = try number("lora_alpha", configuration["lora_alpha"])
        isRankStabilised = configuration["use_rslora"]?.boolValue ?? false
        var patterns: [(String, Double)] = []
        for (pattern, value) in configuration["alpha_pattern"]?.objectValue ?? [:] {
            let field = "alpha_pattern[\"\(pattern)\"]"
            let name = pattern.hasPrefix("^") ? pattern.dropFirst() : pattern[...]
            guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "._".contains($0)) })
            else {
                throw .unsupported(
                    path: path, field: "key \"\(field)\"",
                    reason: "regular expressions are not supported; names of modules and their ends are")
            }
            patterns.append((pattern, try number(field, value)))
        }
        self.patterns = patterns
    }

    func factor(_ module: String, rank: Int) -> Double {
        let alpha = patterns.first { matches($0.pattern, module) }?.alpha ?? self.alpha
        return alpha / (isRankStabilised ? Double(rank).squareRoot() : Double(rank))
    }

    /// The first pattern that is the module's name, or its end behind a point, holds.
    private func matches(_ pattern: String, _ module: String) -> Bool {
        pattern.hasPrefix("^")
            ? module == pattern.dropFirst() : module == pattern || module.hasSuffix("." + pattern)
    }
}
