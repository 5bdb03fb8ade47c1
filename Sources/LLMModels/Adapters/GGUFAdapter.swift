// An adapter in a GGUF file: metadata `adapter.*`, and for each matrix the tensors `<its name>.lora_a` and `.lora_b`.

struct GGUFAdapter {
    private let file: GGUFFile

    init(_ path: String) throws(ModelError) {
        file = try GGUFFile(path)
        try expect("general.type", "adapter")
        try expect("adapter.type", "lora")
    }

    func source(for base: any ModelSource) throws(ModelError) -> AdapterSource {
        let configuration = base.configuration
        try expect("general.architecture", configuration.architecture.rawValue)
        let alpha = try alpha()
        // A file without alpha, or with 0, is not scaled.
        func scale(_ rank: Int) -> Double { alpha == 0 ? 1 : alpha / Double(rank) }
        var parts = AdapterParts(
            path: file.path, configuration: configuration,
            style: configuration.architecture == .llama ? .interleaved : .halves)
        let matrices = AdaptedProduct.matrices(of: configuration, \.gguf)
        for tensor in file.tensors {
            let name = tensor.name
            let isA = name.hasSuffix(".lora_a")
            guard isA || name.hasSuffix(".lora_b"), let matrix = matrices[String(name.dropLast(".lora_a".count))]
            else {
                throw .unsupported(
                    path: file.path, field: "tensor \"\(name)\"", reason: AdaptedProduct.expected(configuration))
            }
            guard let source = file.sourceTensor(name) else {
                throw .invalidFile(
                    path: file.path, field: "tensor \"\(name)\"", reason: "dimensions \(tensor.dimensions)")
            }
            try parts.add(source, isA: isA, layer: matrix.layer, matrix.tensor, scale: scale)
        }
        return AdapterSource(
            path: file.path, digest: ModelDigest.ofFile(file.mapping), bytes: Int64(file.mapping.bytes.count),
            updates: try parts.updates())
    }

    private func alpha() throws(ModelError) -> Double {
        let key = "adapter.lora.alpha"
        guard let value = file.metadata[key] else { return 0 }
        guard let alpha = value.doubleValue, alpha.isFinite else {
            throw .invalidFile(path: file.path, field: "key \"\(key)\"", reason: "a number is expected")
        }
        return alpha
    }

    private func expect(_ key: String, _ expected: String) throws(ModelError) {
        let found = file.metadata[key]?.stringValue
        guard found == expected else {
            throw .unsupported(
                path: file.path, field: "key \"\(key)\"",
                reason: found.map { "\"\($0)\" where \"\(expected)\" is expected" }
                    ?? "the key is missing; \"\(expected)\" is expected")
        }
    }
}
