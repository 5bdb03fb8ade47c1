// A copy of a model with an adapter's changes in its weights, for where adapters can't be served beside it.
import Glibc
import LLMKernels

/// W + B·A for the matrices that the adapter changes; all else as it was, byte for byte.
package struct MergedCopy: Sendable {
    private let base: any ModelSource
    private let encoding: TensorEncoding
    /// By the name of the tensor in the base.
    private let updates: [String: LowRankUpdate]

    /// - Parameters:
    ///   - adapter: opened for this base.
    ///   - encoding: of the changed matrices: float32 or float16.
    package init(of base: any ModelSource, with adapter: AdapterSource, as encoding: TensorEncoding = .float16) {
        precondition(encoding == .float32 || encoding == .float16)
        self.base = base
        self.encoding = encoding
        updates = Dictionary(
            uniqueKeysWithValues: adapter.updates.map { (base.key(.layer($0.layer, $0.tensor)), $0) })
    }

    /// A GGUF file for a GGUF file, a folder for a folder. `path` never names half a model, and must not exist if it is a
    /// folder.
    package func write(to path: String, team: ThreadTeam) throws(ModelError) {
        switch base {
        case let base as GGUFModel: try write(base, to: path, team)
        case let base as HuggingFaceModel: try write(base, to: path, team)
        default: preconditionFailure("\(type(of: base))")
        }
    }

    private func write(_ base: GGUFModel, to path: String, _ team: ThreadTeam) throws(ModelError) {
        var writer = GGUFWriter(metadata: base.file.metadata)
        for tensor in base.file.tensors {
            let isChanged = updates[tensor.name] != nil
            writer.add(
                tensor.name, shape: tensor.dimensions.reversed(), encoding: isChanged ? encoding : tensor.encoding
            ) { () throws(ModelError) -> [UInt8] in
                try isChanged
                    ? merged(tensor.name, team)
                    : Array(base.file.mapping.bytes[tensor.offset..<tensor.offset + tensor.byteCount])
            }
        }
        try writer.write(to: path)
    }

    private func write(_ base: HuggingFaceModel, to path: String, _ team: ThreadTeam) throws(ModelError) {
        let draft = "\(path).\(getpid()).partial"
        guard mkdir(draft, 0o755) == 0 else { throw .unwritable(path: draft, reason: systemReason()) }
        do throws(ModelError) {
            for name in HuggingFaceFolder.textNames {
                guard let bytes = try base.folder.bytes(name) else { continue }
                try FileWriter.write(bytes, to: "\(draft)/\(name)")
            }
            var writer = SafetensorsWriter()
            for (tensor, file) in base.folder.tensors {
                let isChanged = updates[tensor.name] != nil
                writer.add(
                    tensor.name, type: isChanged ? (encoding == .float32 ? "F32" : "F16") : tensor.type,
                    shape: tensor.shape,
                    byteCount: isChanged ? tensor.shape.reduce(encoding.blockBytes, *) : tensor.byteCount
                ) { () throws(ModelError) -> [UInt8] in
                    try isChanged
                        ? merged(tensor.name, team)
                        : Array(file.bytes[tensor.offset..<tensor.offset + tensor.byteCount])
                }
            }
            try writer.write(to: draft + "/model.safetensors")
            guard rename(draft, path) == 0 else { throw .unwritable(path: path, reason: systemReason()) }
        } catch {
            for name in HuggingFaceFolder.textNames + ["model.safetensors"] { unlink("\(draft)/\(name)") }
            rmdir(draft)
            throw error
        }
    }

    /// The changed matrix as it is stored.
    private func merged(_ name: String, _ team: ThreadTeam) throws(ModelError) -> [UInt8] {
        let update = updates[name]!
        let tensor = try base.tensor(.layer(update.layer, update.tensor))
        let (rows, columns, rank) = (tensor.rows, tensor.columns, update.rank)
        var values = tensor.floats()
        values.withUnsafeMutableBufferPointer { values in
            nonisolated(unsafe) let values = values
            let parts = min(rows, team.count * 8)
            team.run(parts: parts) { part, _ in
                for row in rows * part / parts..<rows * (part + 1) / parts {
                    for column in 0..<columns {
                        var sum = Double(values[row * columns + column])
                        for j in 0..<rank {
                            sum += Double(update.b[row * rank + j]) * Double(update.a[j * columns + column])
                        }
                        values[row * columns + column] = Float(sum)
                    }
                }
            }
        }
        let limit = encoding == .float16 ? HostileNumbers.largestHalf : .greatestFiniteMagnitude
        guard values.withUnsafeBufferPointer({ HostileNumbers.areBelow(limit, $0) }) else {
            throw .invalidFile(
                path: base.path, field: "tensor \"\(name)\"",
                reason: "with the adapter it holds NaN, infinity, or a number beyond what \(encoding.name) holds")
        }
        if tensor.quirk == .transposed {
            let canonical = values
            for row in 0..<rows {
                for column in 0..<columns { values[column * rows + row] = canonical[row * columns + column] }
            }
        }
        return [UInt8](unsafeUninitializedCapacity: values.count * encoding.blockBytes) { bytes, count in
            values.withUnsafeBufferPointer { encoding.quantize($0, to: UnsafeMutableRawPointer(bytes.baseAddress!)) }
            count = values.count * encoding.blockBytes
        }
    }
}
