// A safetensors file: a JSON header with names, types, shapes and offsets, then the data. Untrusted like any file: all of
// the header is checked here, once.
import JSON

/// A tensor of a safetensors file.
package struct SafetensorsTensor: Sendable, Equatable {
    package let name: String
    /// As in the file, slowest-varying first.
    package let shape: [Int]
    /// `F32`, `BF16` and so on.
    package let type: String
    /// In bytes, from the start of the file.
    package let offset: Int
    package let byteCount: Int

    /// nil for types that hold no weights (integers, booleans, 8-bit floats).
    package var encoding: TensorEncoding? {
        switch type {
        case "F32": .float32
        case "F16": .float16
        case "BF16": .bfloat16
        default: nil
        }
    }
}

package struct SafetensorsFile: Sendable {
    package let mapping: MappedFile
    /// In the order of their data.
    package let tensors: [SafetensorsTensor]
    /// The strings under `__metadata__`.
    package let metadata: [String: String]
    private let indices: [String: Int]

    package var path: String { mapping.path }

    /// Limit of the format, and of the elements that are indexed here.
    private static let maximumHeaderBytes: UInt64 = 100_000_000

    package init(_ path: String) throws(ModelError) {
        mapping = try MappedFile(path)
        var reader = ByteReader(mapping)
        let length = try reader.integer(UInt64.self, "header length")
        guard length <= Self.maximumHeaderBytes else {
            throw reader.invalid("header length", "\(length) bytes, more than the limit of \(Self.maximumHeaderBytes)")
        }
        let text = try reader.take(length, "header")
        guard text.first == UInt8(ascii: "{") else { throw reader.invalid("header", "it does not begin with {") }
        let header: JSONValue
        do throws(JSONError) { header = try JSONValue(parsing: text, maximumDepth: 8) } catch {
            throw reader.invalid("header", "\(error)")
        }
        var parser = SafetensorsHeader(reader: reader, dataStart: reader.position)
        try parser.read(header)
        tensors = try parser.inOrder()
        metadata = parser.metadata
        indices = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
    }

    package subscript(name: String) -> SafetensorsTensor? { indices[name].map { tensors[$0] } }
}

private struct SafetensorsHeader {
    let reader: ByteReader
    let dataStart: Int
    var tensors: [SafetensorsTensor] = []
    var metadata: [String: String] = [:]

    init(reader: ByteReader, dataStart: Int) {
        self.reader = reader
        self.dataStart = dataStart
    }

    mutating func read(_ header: JSONValue) throws(ModelError) {
        for (name, value) in header.objectValue ?? [:] {
            if name == "__metadata__" {
                for (key, text) in value.objectValue ?? [:] { metadata[key] = text.stringValue }
            } else {
                tensors.append(try tensor(name, value))
            }
        }
    }

    private func tensor(_ name: String, _ value: JSONValue) throws(ModelError) -> SafetensorsTensor {
        let field = "tensor \"\(name)\""
        guard let type = value["dtype"]?.stringValue else { throw reader.invalid(field, "dtype is missing") }
        guard let dimensions = value["shape"]?.arrayValue, dimensions.count <= 8 else {
            throw reader.invalid(field, "shape is missing, or no list of up to 8 numbers")
        }
        guard let ends = value["data_offsets"]?.arrayValue, ends.count == 2,
            let begin = ends[0].intValue, let end = ends[1].intValue
        else { throw reader.invalid(field, "data_offsets is missing, or no list of two numbers") }
        guard begin >= 0, begin <= end, end <= reader.bytes.count - dataStart else {
            throw reader.invalid(
                field,
                "data_offsets [\(begin), \(end)] are not within the \(reader.bytes.count - dataStart) bytes of data")
        }
        var shape: [Int] = []
        var elements = 1
        for dimension in dimensions {
            guard let size = dimension.intValue, size >= 0 else {
                throw reader.invalid(field, "\(dimension.text()) is no valid dimension")
            }
            let (product, overflow) = elements.multipliedReportingOverflow(by: size)
            guard !overflow else { throw reader.invalid(field, "the product of the dimensions overflows") }
            elements = product
            shape.append(size)
        }
        // A type that is not known here cannot be checked, nor can its tensor be read.
        if let size = Self.typeSizes[type] {
            let (bytes, overflow) = elements.multipliedReportingOverflow(by: size)
            guard !overflow, bytes == end - begin else {
                throw reader.invalid(
                    field, "\(type) \(shape) does not take the \(end - begin) bytes of its data_offsets")
            }
        }
        return SafetensorsTensor(
            name: name, shape: shape, type: type, offset: dataStart + begin, byteCount: end - begin)
    }

    private static let typeSizes = [
        "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
        "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    ]

    /// The tensors by offset. They must fill the data section without a hole and without overlap.
    func inOrder() throws(ModelError) -> [SafetensorsTensor] {
        let sorted = tensors.sorted { ($0.offset, $0.byteCount) < ($1.offset, $1.byteCount) }
        var position = dataStart
        for tensor in sorted {
            guard tensor.offset == position else {
                throw reader.invalid(
                    "tensor \"\(tensor.name)\"",
                    tensor.offset < position
                        ? "overlaps the tensor before it" : "\(tensor.offset - position) unused bytes before it")
            }
            position += tensor.byteCount
        }
        guard position == reader.bytes.count else {
            throw reader.invalid("data", "\(reader.bytes.count - position) unused bytes after the last tensor")
        }
        return sorted
    }
}
