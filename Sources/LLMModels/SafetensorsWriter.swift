// Writes safetensors files: a JSON header with names, types, shapes and offsets, then the data.
import JSON

struct SafetensorsWriter {
    private struct Tensor {
        let name: String
        let type: String
        let shape: [Int]
        let byteCount: Int
        let bytes: () throws(ModelError) -> [UInt8]
    }

    private var tensors: [Tensor] = []

    /// `bytes` is called when the tensor is written, so that one tensor at a time is in memory.
    mutating func add(
        _ name: String, type: String, shape: [Int], byteCount: Int, bytes: @escaping () throws(ModelError) -> [UInt8]
    ) {
        tensors.append(Tensor(name: name, type: type, shape: shape, byteCount: byteCount, bytes: bytes))
    }

    func write(to path: String) throws(ModelError) {
        let file = try FileWriter(path)
        let header = header()
        var length: [UInt8] = []
        length.append(littleEndian: UInt64(header.count))
        try file.write(length + header)
        for tensor in tensors {
            let bytes = try tensor.bytes()
            precondition(bytes.count == tensor.byteCount, "\(tensor.name): \(bytes.count) bytes")
            try file.write(bytes)
        }
        try file.finish()
    }

    /// With blanks behind it, so that the data begins at a multiple of eight bytes.
    private func header() -> [UInt8] {
        var members: [(String, JSONValue)] = [("__metadata__", ["format": "pt"])]
        var offset = 0
        for tensor in tensors {
            let ends: JSONValue = [.integer(Int64(offset)), .integer(Int64(offset + tensor.byteCount))]
            members.append(
                (
                    tensor.name,
                    [
                        "dtype": .string(tensor.type), "shape": .array(tensor.shape.map { .integer(Int64($0)) }),
                        "data_offsets": ends,
                    ]
                ))
            offset += tensor.byteCount
        }
        let text = Array(JSONValue.object(.init(members, uniquingKeysWith: { $1 })).text().utf8)
        return text + Array(repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8)
    }
}
