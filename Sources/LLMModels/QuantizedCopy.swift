// A model as a GGUF file with its weights in another encoding: what `quantize` jobs write.
import LLMKernels
import Synchronization

/// The matrices of a model in the encoding of `target`, all else as it was: metadata, vocabulary, norms and biases. With
/// int4 the embedding and the head, which cost most when they are coarse, are Q8_0.
package struct QuantizedCopy: Sendable {
    package let source: GGUFContent
    package let target: QuantizationTarget

    package init(of source: GGUFContent, to target: QuantizationTarget) {
        self.source = source
        self.target = target
    }

    /// How a tensor of the file is written. What can't be cut into blocks is float16; what is no matrix, and positions that
    /// are learned, stay as they are.
    package func encoding(of tensor: GGUFContent.Tensor) -> TensorEncoding {
        guard tensor.shape.count == 2, tensor.name != "position_embd.weight" else { return tensor.encoding }
        let isEnd = tensor.name == "token_embd.weight" || tensor.name == "output.weight"
        let wanted = target == .int4 && isEnd ? .q8_0 : target.encoding
        return tensor.shape[1].isMultiple(of: wanted.blockSize) ? wanted : .float16
    }

    /// Bits for a weight, over all tensors of the copy.
    package var bitsPerWeight: Double { bitsPerWeight { encoding(of: $0) } }

    /// The same of the model that is copied.
    package var sourceBitsPerWeight: Double { bitsPerWeight(\.encoding) }

    private func bitsPerWeight(_ encoding: (GGUFContent.Tensor) -> TensorEncoding) -> Double {
        var (bytes, weights) = (0.0, 0.0)
        for tensor in source.tensors {
            let columns = tensor.shape.last ?? 1
            let rows = tensor.shape.dropLast().reduce(1, *)
            bytes += Double(rows) * Double(encoding(tensor).rowBytes(columns) ?? 0)
            weights += Double(rows) * Double(columns)
        }
        return weights > 0 ? 8 * bytes / weights : 0
    }

    /// Writes the copy; the bytes depend on the source and the target alone. `path` never names half a model.
    /// - Parameter progress: called with the share that is done, before each tensor; false gives up.
    /// - Throws: `unwritable` with the reason "cancelled" when `progress` gave up.
    package func write(
        to path: String, team: ThreadTeam, progress: @escaping (Double) -> Bool = { _ in true }
    ) throws(ModelError) {
        var metadata = source.metadata
        metadata.set("general.file_type", .uint32(target.fileType))
        metadata.set("general.quantization_version", .uint32(2))
        var writer = GGUFWriter(metadata: metadata)
        let tensors = source.tensors
        for (index, tensor) in tensors.enumerated() {
            let encoding = encoding(of: tensor)
            writer.add(tensor.name, shape: tensor.shape, encoding: encoding) {
                () throws(ModelError) -> [UInt8] in
                guard progress(Double(index) / Double(tensors.count)) else {
                    throw .unwritable(path: path, reason: "cancelled")
                }
                return try bytes(of: tensor, as: encoding, team)
            }
        }
        try writer.write(to: path)
    }

    private func bytes(
        of tensor: GGUFContent.Tensor, as encoding: TensorEncoding, _ team: ThreadTeam
    ) throws(ModelError) -> [UInt8] {
        let (rows, order): (SourceTensor, RowOrder)
        switch tensor.values {
        case .bytes(let file, let range): return Array(file.bytes[range])
        case .floats(let values): return values.withUnsafeBytes { Array($0) }
        case .rows(let source, .asStored) where source.encoding == encoding && source.quirk == .none:
            return Array(source.file.bytes[source.offset..<source.offset + source.byteCount])
        case .rows(let source, let sourceOrder): (rows, order) = (source, sourceOrder)
        }
        let rowBytes = encoding.rowBytes(rows.columns)!
        let broken = Atomic(Int.max)
        let bytes = [UInt8](unsafeUninitializedCapacity: rows.rows * rowBytes) { buffer, count in
            let target = UnsafeMutableRawPointer(buffer.baseAddress!)
            let parts = max(1, min(rows.rows, team.count * 8))
            team.run(parts: parts) { part, _ in
                let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.columns)
                defer { values.deallocate() }
                values.initialize(repeating: 0)
                for row in rows.rows * part / parts..<rows.rows * (part + 1) / parts {
                    rows.copyRow(order.source(row), to: values)
                    // float16 ends at 65504; so do scales.
                    let isGood = HostileNumbers.areBelow(HostileNumbers.largestHalf, .init(values))
                    if !isGood { broken.min(row, ordering: .relaxed) }
                    if !isGood { values.update(repeating: 0) }
                    encoding.quantize(.init(values), to: target + row * rowBytes)
                }
            }
            count = rows.rows * rowBytes
        }
        rows.forget(0..<rows.rows)
        let row = broken.load(ordering: .relaxed)
        guard row == .max else {
            throw .invalidFile(
                path: source.path, field: "tensor \"\(tensor.name)\", row \(row)",
                reason: "holds NaN, infinity, or a number beyond what float16 holds")
        }
        return bytes
    }
}
