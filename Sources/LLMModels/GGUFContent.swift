// What a GGUF file holds: as it stands in one, or as a Hugging Face folder would be in that format.
import LLMTokenizers

package struct GGUFContent: Sendable {
    /// Where it comes from, for messages.
    package let path: String
    let metadata: GGUFMetadata
    package let tensors: [Tensor]

    package struct Tensor: Sendable {
        package let name: String
        /// Slowest-varying first: [rows, columns].
        package let shape: [Int]
        /// How it is written when nothing else is asked for.
        package let encoding: TensorEncoding
        let values: Values
    }

    enum Values: Sendable {
        case rows(SourceTensor, RowOrder)
        /// Of three dimensions and more: only as they stand in the file.
        case bytes(MappedFile, Range<Int>)
        case floats([Float])
    }

    package init(_ model: GGUFModel) {
        path = model.path
        metadata = model.file.metadata
        tensors = model.file.tensors.map { tensor in
            let rows = model.file.sourceTensor(tensor.name)
            let range = tensor.offset..<tensor.offset + tensor.byteCount
            return Tensor(
                name: tensor.name, shape: tensor.dimensions.reversed(), encoding: tensor.encoding,
                values: rows.map { .rows($0, .asStored) } ?? .bytes(model.file.mapping, range))
        }
    }

    /// - Throws: `unsupported` for a model that readers of the format would take for another one.
    package init(_ model: HuggingFaceModel) throws(ModelError) {
        path = model.path
        metadata = try GGUFMetadata(model)
        let configuration = model.configuration
        let table = model.architecture.checkpoint.tensors
        var tensors: [Tensor] = []
        for name in configuration.requiredTensors {
            let rows = try model.tensor(name)
            let order = Self.order(of: name, configuration)
            // Readers expect vectors and learned positions as 32-bit floats.
            let isMatrix = rows.shape.count == 2 && name != .positionEmbedding
            let values: Values = rows.shape.count == 1 ? .floats(order.sorted(rows.floats())) : .rows(rows, order)
            tensors.append(
                Tensor(
                    name: table.line(name)!.gguf, shape: rows.shape, encoding: isMatrix ? rows.encoding : .float32,
                    values: values))
        }
        if case .llama3(let scaling) = configuration.rotary?.scaling {
            let rotary = RotaryParameters(
                base: configuration.rotary!.base, rotatedSize: configuration.rotary!.rotatedSize)
            let divisors = rotary.frequencies.map { Float($0 / scaling.scaled($0)) }
            tensors.append(
                Tensor(
                    name: "rope_freqs.weight", shape: [divisors.count], encoding: .float32, values: .floats(divisors)))
        }
        self.tensors = tensors
    }

    /// The model in the format that `openModel` finds.
    package init(_ source: any ModelSource) throws(ModelError) {
        switch source {
        case let model as GGUFModel: self.init(model)
        case let model as HuggingFaceModel: try self.init(model)
        default: preconditionFailure("a format without GGUF content")
        }
    }

    private static func order(of name: TensorName, _ configuration: ModelConfiguration) -> RowOrder {
        guard configuration.architecture == .llama, case .layer(_, let tensor) = name else { return .asStored }
        switch tensor {
        case .query, .queryBias, .key, .keyBias: return .interleaved(headSize: configuration.headSize)
        default: return .asStored
        }
    }
}

/// The order in which rows are written. Llama's files have the two values that rotate together side by side.
enum RowOrder: Sendable, Equatable {
    case asStored
    /// Of each head, row i of the first half, then row i of the second.
    case interleaved(headSize: Int)

    /// A value for each row.
    func sorted(_ values: [Float]) -> [Float] { values.indices.map { values[source($0)] } }

    /// Where row `row` of the copy stands in the source.
    func source(_ row: Int) -> Int {
        switch self {
        case .asStored: return row
        case .interleaved(let size):
            let (head, place) = row.quotientAndRemainder(dividingBy: size)
            return head * size + place % 2 * (size / 2) + place / 2
        }
    }
}
