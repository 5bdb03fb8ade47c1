// Writes GGUF v3 files: for tests, and for jobs that make a model out of another.

package struct GGUFWriter {
    package var metadata: GGUFMetadata
    private var tensors: [Tensor] = []

    private struct Tensor {
        let name: String
        let dimensions: [Int]
        let encoding: TensorEncoding
        let byteCount: Int
        let bytes: () throws(ModelError) -> [UInt8]
    }

    private static let alignment = 32

    package init(metadata: GGUFMetadata = GGUFMetadata()) {
        self.metadata = metadata
    }

    /// Adds a tensor of `shape`, slowest-varying first ([rows, columns]), whose rows are whole blocks. `bytes` is called
    /// when the tensor is written, so that one tensor at a time is in memory; it gives exactly the bytes of the shape.
    package mutating func add(
        _ name: String, shape: [Int], encoding: TensorEncoding, bytes: @escaping () throws(ModelError) -> [UInt8]
    ) {
        guard let columns = shape.last, let rowBytes = encoding.rowBytes(columns) else {
            preconditionFailure("\(name): shape \(shape) is no whole number of \(encoding.name) blocks")
        }
        tensors.append(
            Tensor(
                name: name, dimensions: shape.reversed(), encoding: encoding,
                byteCount: shape.dropLast().reduce(rowBytes, *), bytes: bytes))
    }

    /// `path` never names half a model.
    package func write(to path: String) throws(ModelError) {
        let file = try FileWriter(path)
        let header = header()
        try file.write(header + Self.padding(after: header.count))
        for tensor in tensors {
            let bytes = try tensor.bytes()
            precondition(
                bytes.count == tensor.byteCount, "\(tensor.name): \(bytes.count) bytes, not \(tensor.byteCount)")
            try file.write(bytes)
            try file.write(Self.padding(after: bytes.count))
        }
        try file.finish()
    }

    /// Everything before the data.
    private func header() -> [UInt8] {
        var bytes = GGUFHeader.magic
        bytes.append(littleEndian: UInt32(3))
        bytes.append(littleEndian: UInt64(tensors.count))
        var metadata = metadata
        metadata.set("general.alignment", .uint32(UInt32(Self.alignment)))
        bytes.append(littleEndian: UInt64(metadata.keys.count))
        for key in metadata.keys {
            let value = metadata[key]!
            bytes.append(string: key)
            bytes.append(littleEndian: value.type.rawValue)
            bytes.append(value)
        }
        var offset = 0
        for tensor in tensors {
            bytes.append(string: tensor.name)
            bytes.append(littleEndian: UInt32(tensor.dimensions.count))
            for dimension in tensor.dimensions { bytes.append(littleEndian: UInt64(dimension)) }
            bytes.append(littleEndian: tensor.encoding.rawValue)
            bytes.append(littleEndian: UInt64(offset))
            offset += tensor.byteCount + Self.padding(after: tensor.byteCount).count
        }
        return bytes
    }

    private static func padding(after count: Int) -> [UInt8] {
        Array(repeating: 0, count: -count & (alignment - 1))
    }
}

extension [UInt8] {
    fileprivate mutating func append(string: String) {
        append(littleEndian: UInt64(string.utf8.count))
        self += string.utf8
    }

    fileprivate mutating func append(_ value: GGUFValue) {
        switch value {
        case .uint8(let value): append(value)
        case .int8(let value): append(UInt8(bitPattern: value))
        case .uint16(let value): append(littleEndian: value)
        case .int16(let value): append(littleEndian: value)
        case .uint32(let value): append(littleEndian: value)
        case .int32(let value): append(littleEndian: value)
        case .uint64(let value): append(littleEndian: value)
        case .int64(let value): append(littleEndian: value)
        case .float32(let value): append(littleEndian: value.bitPattern)
        case .float64(let value): append(littleEndian: value.bitPattern)
        case .bool(let value): append(value ? 1 : 0)
        case .string(let value): append(string: value)
        case .array(let array):
            append(littleEndian: array.elementType.rawValue)
            append(littleEndian: UInt64(array.count))
            self += array.bytes
        }
    }
}
