// LoRA adapters (Hu et al. 2021) on disk: what their files say, checked against the model that they belong to.
import LLMKernels

/// The low-rank change of one matrix: W' = W + B·A.
package struct LowRankUpdate: Sendable, Equatable {
    package let layer: Int
    /// query, key, value, queryKeyValue, attentionOutput, gate, up or down.
    package let tensor: LayerTensor
    package let rank: Int
    /// [rank, inputs]
    package let a: [Float]
    /// [outputs, rank], the scale multiplied in; its rows stand as those of the model's matrix do.
    package let b: [Float]

    package init(layer: Int, tensor: LayerTensor, rank: Int, a: [Float], b: [Float]) {
        self.layer = layer
        self.tensor = tensor
        self.rank = rank
        self.a = a
        self.b = b
    }
}

/// An adapter that fits its model.
package struct AdapterSource: Sendable {
    package let path: String
    /// SHA-256: of the GGUF file, or of the list of the folder's two files.
    package let digest: String
    package let bytes: Int64
    /// At most one for each matrix, in the order of the layers.
    package let updates: [LowRankUpdate]

    package init(path: String, digest: String, bytes: Int64, updates: [LowRankUpdate]) {
        self.path = path
        self.digest = digest
        self.bytes = bytes
        self.updates = updates
    }
}

/// Opens an adapter for a model: a folder as PEFT's `save_pretrained` writes it, or a GGUF file as llama.cpp's
/// `convert_lora_to_gguf` does.
/// - Throws: what in the files is broken, is not supported, or does not fit the model.
package func openAdapter(_ path: String, base: any ModelSource) throws(ModelError) -> AdapterSource {
    try MappedFile.isFolder(path) ? PEFTAdapter(path).source(for: base) : GGUFAdapter(path).source(for: base)
}

/// The two matrices of each update, while they are found in a file.
struct AdapterParts {
    private struct Place: Hashable {
        var layer: Int
        var tensor: LayerTensor
    }

    private struct Parts {
        var a: SourceTensor?
        var b: SourceTensor?
        var scale: (Int) -> Double
    }

    let path: String
    let configuration: ModelConfiguration
    /// Values of a head that are rotated together, as the rows of `b` stand in this file.
    let style: RoPEStyle
    private var parts: [Place: Parts] = [:]

    init(path: String, configuration: ModelConfiguration, style: RoPEStyle) {
        self.path = path
        self.configuration = configuration
        self.style = style
    }

    /// - Parameter scale: factor of B·A by rank.
    mutating func add(
        _ matrix: SourceTensor, isA: Bool, layer: Int, _ tensor: LayerTensor, scale: @escaping (Int) -> Double
    ) throws(ModelError) {
        let place = Place(layer: layer, tensor: tensor)
        var entry = parts[place] ?? Parts(scale: scale)
        guard (isA ? entry.a : entry.b) == nil else {
            throw invalid(matrix, "changes a matrix that another tensor changes already")
        }
        if isA { entry.a = matrix } else { entry.b = matrix }
        parts[place] = entry
    }

    func updates() throws(ModelError) -> [LowRankUpdate] {
        guard !parts.isEmpty else {
            throw .invalidFile(path: path, field: "tensors", reason: "none of them changes a matrix")
        }
        let order = parts.sorted { ($0.key.layer, $0.key.tensor.rawValue) < ($1.key.layer, $1.key.tensor.rawValue) }
        var updates: [LowRankUpdate] = []
        for (place, parts) in order { updates.append(try update(place, parts)) }
        return updates
    }

    private func update(_ place: Place, _ parts: Parts) throws(ModelError) -> LowRankUpdate {
        guard let a = parts.a, let b = parts.b else {
            let (there, missing) = parts.a == nil ? (parts.b!, "A") : (parts.a!, "B")
            throw invalid(there, "stands without its \(missing)")
        }
        let shape = configuration.shape(.layer(place.layer, place.tensor)), rank = a.rows
        guard a.shape.count == 2, a.columns == shape[1] else {
            throw .wrongShape(path: path, name: a.name, found: a.shape, expected: [rank, shape[1]])
        }
        guard 1...LowRankMatrix.highestRank ~= rank else {
            throw .unsupported(
                path: path, field: "tensor \"\(a.name)\"",
                reason: "rank \(rank) is not supported; 1 to \(LowRankMatrix.highestRank) are")
        }
        guard b.shape == [shape[0], rank] else {
            throw .wrongShape(path: path, name: b.name, found: b.shape, expected: [shape[0], rank])
        }
        let scale = Float(parts.scale(rank))
        let scaled = b.floats().map { $0 * scale }
        return LowRankUpdate(
            layer: place.layer, tensor: place.tensor, rank: rank, a: try finite(a.floats(), a),
            b: try finite(inOrder(scaled, rank: rank, place.tensor), b))
    }

    private func finite(_ values: [Float], _ tensor: SourceTensor) throws(ModelError) -> [Float] {
        guard values.withUnsafeBufferPointer({ HostileNumbers.areBelow(.greatestFiniteMagnitude, $0) }) else {
            throw invalid(tensor, "holds NaN or infinity")
        }
        return values
    }

    /// Rows [outputs, rank] in the order of the model's: GGUF files of the Llama family hold the two halves of each query
    /// and key head interleaved.
    private func inOrder(_ rows: [Float], rank: Int, _ tensor: LayerTensor) -> [Float] {
        guard configuration.ropeStyle != style, tensor == .query || tensor == .key else { return rows }
        let size = configuration.headSize
        var result: [Float] = []
        result.reserveCapacity(rows.count)
        for row in 0..<rows.count / rank {
            let (head, place) = row.quotientAndRemainder(dividingBy: size)
            let from =
                configuration.ropeStyle == .interleaved
                ? place % 2 * (size / 2) + place / 2 : place % (size / 2) * 2 + place / (size / 2)
            let start = (head * size + from) * rank
            result += rows[start..<start + rank]
        }
        return result
    }

    private func invalid(_ tensor: SourceTensor, _ reason: String) -> ModelError {
        .invalidFile(path: path, field: "tensor \"\(tensor.name)\"", reason: reason)
    }
}
