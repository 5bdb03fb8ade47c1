// Reads rotary parameters: three generations of `config.json` keys, and GGUF's.
import JSON

enum Rotary {
    /// - Parameter layerType: whose parameters, in a file that tells layer types apart (Gemma 3).
    static func parameters(
        _ fields: ConfigurationFields, headSize: Int, layerType: String = "full_attention", base: Double = 10_000
    ) throws(ModelError) -> RotaryParameters {
        if fields.ggufFile != nil { return try fromMetadata(fields, headSize, base) }
        // Newer files: "rope_parameters", for all layers or per layer type. Older ones: "rope_scaling" and "rope_theta".
        let key = fields.json("rope_parameters") != nil ? "rope_parameters" : "rope_scaling"
        let value = fields.json(key)
        if let value, value.objectValue == nil {
            throw fields.invalid(ConfigurationFields.key(key, nil), "an object is expected")
        }
        let node = RotaryNode(fields: fields, key: key, value: value?[layerType] ?? value)
        let base = try fields.number("rope_theta", nil, default: base)
        let theta = try node.optionalNumber("rope_theta") ?? base
        let partial = [
            try node.optionalNumber("partial_rotary_factor"),
            try fields.optionalNumber(ConfigurationFields.key("partial_rotary_factor", nil)),
        ].compactMap(\.self)
        if let factor = partial.first, factor != 1 {
            throw node.unsupported("partial_rotary_factor \(factor) is not supported")
        }
        return RotaryParameters(base: theta, rotatedSize: headSize, scaling: try node.scaling())
    }

    private static func fromMetadata(
        _ fields: ConfigurationFields, _ headSize: Int, _ base: Double
    ) throws(ModelError) -> RotaryParameters {
        let rotated = try fields.integer(nil, "rope.dimension_count", in: 2...headSize, default: headSize)
        guard rotated.isMultiple(of: 2) else {
            throw fields.invalid(ConfigurationFields.key(nil, "rope.dimension_count"), "\(rotated) is odd")
        }
        return RotaryParameters(
            base: try fields.number(nil, "rope.freq_base", default: base), rotatedSize: rotated,
            scaling: try scaling(fields, pairs: rotated / 2))
    }

    private static func scaling(_ fields: ConfigurationFields, pairs: Int) throws(ModelError) -> RotaryScaling {
        let type = try fields.string(nil, "rope.scaling.type")
        // The second key is that of files before GGUF v3.
        let factors = [
            try fields.optionalNumber(ConfigurationFields.key(nil, "rope.scaling.factor")),
            try fields.optionalNumber(ConfigurationFields.key(nil, "rope.scale_linear")),
        ].compactMap(\.self)
        let linear: RotaryScaling
        switch type {
        case "none": linear = .none
        case nil, "linear": linear = factors.first.map { $0 == 1 ? .none : .linear($0) } ?? .none
        case .some(let other):
            throw fields.unsupported(
                ConfigurationFields.key(nil, "rope.scaling.type"), "\"\(other)\" is not supported; none and linear are")
        }
        guard let divisors = try divisors(fields.ggufFile!, pairs: pairs) else { return linear }
        guard linear == .none else {
            throw fields.unsupported(
                ConfigurationFields.key(nil, "rope.scaling.factor"), "linear scaling together with rope_freqs.weight")
        }
        return .divisors(divisors)
    }

    private static func divisors(_ file: GGUFFile, pairs: Int) throws(ModelError) -> [Float]? {
        let name = "rope_freqs.weight"
        guard let entry = file[name] else { return nil }
        guard let tensor = file.sourceTensor(name), tensor.shape == [pairs] else {
            throw .wrongShape(path: file.path, name: name, found: entry.dimensions.reversed(), expected: [pairs])
        }
        let values = tensor.floats()
        guard values.allSatisfy({ $0.isNormal && $0 > 0 }) else {
            throw .invalidFile(
                path: file.path, field: "tensor \"\(name)\"", reason: "positive numbers are expected")
        }
        return values
    }
}

/// One object with rotary parameters in a `config.json`.
private struct RotaryNode {
    let fields: ConfigurationFields
    let key: String
    let value: JSONValue?

    func scaling() throws(ModelError) -> RotaryScaling {
        guard let type = value?["rope_type"] ?? value?["type"], type != .null else { return .none }
        switch type.stringValue {
        case "default": return .none
        case "linear": return .linear(try number("factor"))
        case "llama3":
            let scaling = Llama3Scaling(
                factor: try number("factor"), lowFrequencyFactor: try number("low_freq_factor"),
                highFrequencyFactor: try number("high_freq_factor"),
                originalContextLength: try number("original_max_position_embeddings"))
            guard scaling.highFrequencyFactor > scaling.lowFrequencyFactor else {
                throw fields.invalid(
                    .init(huggingFace: key, gguf: nil), "high_freq_factor must be above low_freq_factor")
            }
            return .llama3(scaling)
        default: throw unsupported("type \(type.text()) is not supported; default, linear and llama3 are")
        }
    }

    func optionalNumber(_ name: String) throws(ModelError) -> Double? {
        guard let member = value?[name], member != .null else { return nil }
        guard let number = member.doubleValue, number > 0, Float(number).isNormal else {
            throw fields.invalid(.init(huggingFace: key, gguf: nil), "\(name): a positive number is expected")
        }
        return number
    }

    private func number(_ name: String) throws(ModelError) -> Double {
        guard let number = try optionalNumber(name) else {
            throw fields.invalid(.init(huggingFace: key, gguf: nil), "\(name) is missing")
        }
        return number
    }

    func unsupported(_ reason: String) -> ModelError {
        fields.unsupported(.init(huggingFace: key, gguf: nil), reason)
    }
}
