// A GGUF file (versions 2 and 3), as specified in ggml's docs/gguf.md: metadata, a table of tensors, their data. The
// file is untrusted: all of it is checked here, once, so that whoever holds a GGUFFile can read any of its tensors.

/// A tensor of a GGUF file: where its bytes are, and what they mean.
package struct GGUFTensor: Sendable, Equatable {
    package let name: String
    /// Fastest-varying first, as the file has them: [columns] or [columns, rows], up to four.
    package let dimensions: [Int]
    package let encoding: TensorEncoding
    /// In bytes, from the start of the file.
    package let offset: Int
    package let byteCount: Int
}

package struct GGUFFile: Sendable {
    package let mapping: MappedFile
    package let version: UInt32
    package let metadata: GGUFMetadata
    /// In the order of the file.
    package let tensors: [GGUFTensor]
    package let alignment: Int
    private let indices: [String: Int]

    package var path: String { mapping.path }

    /// Maps a file and checks its structure; tensor data is not read.
    package init(_ path: String) throws(ModelError) {
        mapping = try MappedFile(path)
        var reader = ByteReader(mapping)
        let header = try GGUFHeader(&reader)
        version = header.version
        metadata = try reader.metadata(count: header.metadataCount)
        alignment = try reader.alignment(metadata)
        let table = try reader.tensorTable(count: header.tensorCount)
        tensors = try reader.placed(table, alignment: alignment)
        indices = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
    }

    package subscript(name: String) -> GGUFTensor? { indices[name].map { tensors[$0] } }

    /// Whether the file starts like a GGUF file.
    package static func isGGUF(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: GGUFHeader.magic) }
}

/// What a file may hold at most. Real files stay far below; a broken length is noticed early.
private enum Limit {
    static let metadataKeys: UInt64 = 1 << 16
    static let tensors: UInt64 = 1 << 20
    static let keyBytes = 1 << 16
    static let tensorNameBytes = 1 << 10
    static let stringBytes = 1 << 26
    static let dimensions: UInt32 = 4
    static let alignment = 1 << 20
}

struct GGUFHeader {
    static let magic = Array("GGUF".utf8)
    let version: UInt32
    let tensorCount: UInt64
    let metadataCount: UInt64

    fileprivate init(_ reader: inout ByteReader) throws(ModelError) {
        let magic = try reader.take(4, "magic")
        guard magic.elementsEqual(Self.magic) else { throw reader.invalid("magic", "not a GGUF file") }
        version = try reader.integer(UInt32.self, "version")
        guard (2...3).contains(version) else {
            let isBigEndian = (1...3).contains(version.byteSwapped)
            throw .unsupported(
                path: reader.path, field: "version",
                reason: isBigEndian ? "big-endian files are not supported" : "\(version) is not supported; 2 and 3 are")
        }
        tensorCount = try reader.integer(UInt64.self, "tensor count")
        metadataCount = try reader.integer(UInt64.self, "metadata count")
        guard tensorCount <= Limit.tensors else {
            throw reader.invalid("tensor count", "\(tensorCount) is more than the limit of \(Limit.tensors)")
        }
        guard metadataCount <= Limit.metadataKeys else {
            throw reader.invalid("metadata count", "\(metadataCount) is more than the limit of \(Limit.metadataKeys)")
        }
    }
}

/// A line of the tensor table before its place in the file is checked.
private struct TensorLine {
    let name: String
    let dimensions: [Int]
    let encoding: TensorEncoding
    let byteCount: Int
    /// From the start of the data section.
    let offset: UInt64

    var field: String { "tensor \"\(name)\"" }
}

extension ByteReader {
    // MARK: Metadata

    fileprivate mutating func metadata(count: UInt64) throws(ModelError) -> GGUFMetadata {
        var metadata = GGUFMetadata()
        for index in 0..<count {
            let key = try string(limit: Limit.keyBytes, "metadata key \(index)")
            guard metadata[key] == nil else { throw invalid("key \"\(key)\"", "the key occurs twice") }
            let type = try valueType("key \"\(key)\"")
            metadata.set(key, try value(type, "key \"\(key)\""))
        }
        return metadata
    }

    private mutating func valueType(_ field: @autoclosure () -> String) throws(ModelError) -> GGUFType {
        let number = try integer(UInt32.self, field())
        guard let type = GGUFType(rawValue: number) else { throw invalid(field(), "unknown value type \(number)") }
        return type
    }

    private mutating func value(_ type: GGUFType, _ field: @autoclosure () -> String) throws(ModelError) -> GGUFValue {
        switch type {
        case .uint8: return .uint8(try integer(UInt8.self, field()))
        case .int8: return .int8(try integer(Int8.self, field()))
        case .uint16: return .uint16(try integer(UInt16.self, field()))
        case .int16: return .int16(try integer(Int16.self, field()))
        case .uint32: return .uint32(try integer(UInt32.self, field()))
        case .int32: return .int32(try integer(Int32.self, field()))
        case .uint64: return .uint64(try integer(UInt64.self, field()))
        case .int64: return .int64(try integer(Int64.self, field()))
        case .float32: return .float32(Float(bitPattern: try integer(UInt32.self, field())))
        case .float64: return .float64(Double(bitPattern: try integer(UInt64.self, field())))
        case .bool:
            let byte = try integer(UInt8.self, field())
            guard byte <= 1 else { throw invalid(field(), "a boolean is 0 or 1, not \(byte)") }
            return .bool(byte == 1)
        case .string: return .string(try string(limit: Limit.stringBytes, field()))
        case .array: return .array(try array(field()))
        }
    }

    private mutating func array(_ field: @autoclosure () -> String) throws(ModelError) -> GGUFArray {
        let elementType = try valueType(field())
        let count = try integer(UInt64.self, field())
        let start = position
        switch elementType {
        case .array:
            throw .unsupported(path: path, field: field(), reason: "arrays inside arrays are not supported")
        case .string:
            // Each string takes at least its length field.
            guard count <= UInt64(remaining / 8) else {
                throw invalid(field(), "\(count) strings do not fit into the file")
            }
            for _ in 0..<count {
                let length = try integer(UInt64.self, field())
                guard length <= UInt64(Limit.stringBytes) else {
                    throw invalid(field(), "a string of \(length) bytes, more than the limit of \(Limit.stringBytes)")
                }
                _ = try take(length, field())
            }
        case let fixed:
            let (size, overflow) = count.multipliedReportingOverflow(by: UInt64(fixed.size!))
            guard !overflow, size <= UInt64(remaining) else {
                throw invalid(field(), "\(count) elements do not fit into the file")
            }
            _ = try take(size, field())
        }
        return GGUFArray(elementType: elementType, count: Int(count), bytes: [UInt8](bytes[start..<position]))
    }

    fileprivate func alignment(_ metadata: GGUFMetadata) throws(ModelError) -> Int {
        let key = "general.alignment"
        guard let value = metadata[key] else { return 32 }
        guard let alignment = value.intValue, (1...Limit.alignment).contains(alignment), alignment.nonzeroBitCount == 1
        else { throw invalid("key \"\(key)\"", "a power of two up to \(Limit.alignment) is expected") }
        return alignment
    }

    // MARK: Tensors

    fileprivate mutating func tensorTable(count: UInt64) throws(ModelError) -> [TensorLine] {
        var table: [TensorLine] = []
        var names: Set<String> = []
        for index in 0..<count {
            let line = try tensorLine(index)
            guard names.insert(line.name).inserted else { throw invalid(line.field, "the name occurs twice") }
            table.append(line)
        }
        return table
    }

    private mutating func tensorLine(_ index: UInt64) throws(ModelError) -> TensorLine {
        let name = try string(limit: Limit.tensorNameBytes, "name of tensor \(index)")
        let field = "tensor \"\(name)\""
        let rank = try integer(UInt32.self, field)
        guard (1...Limit.dimensions).contains(rank) else {
            throw invalid(field, "\(rank) dimensions; 1 to \(Limit.dimensions) are allowed")
        }
        var dimensions: [Int] = []
        var elements = 1
        for _ in 0..<rank {
            let size = try integer(UInt64.self, field)
            guard let dimension = Int(exactly: size), dimension > 0 else {
                throw invalid(field, "\(size) is no valid dimension")
            }
            let (product, overflow) = elements.multipliedReportingOverflow(by: dimension)
            guard !overflow else { throw invalid(field, "the product of the dimensions overflows") }
            elements = product
            dimensions.append(dimension)
        }
        let type = try integer(UInt32.self, field)
        guard let encoding = TensorEncoding(rawValue: type) else {
            throw .unsupported(path: path, field: field, reason: "encoding \(type) is not supported")
        }
        guard dimensions[0].isMultiple(of: encoding.blockSize) else {
            throw invalid(
                field, "rows of \(dimensions[0]) are no whole number of \(encoding.name) blocks (\(encoding.blockSize))"
            )
        }
        let (byteCount, overflow) = (elements / encoding.blockSize)
            .multipliedReportingOverflow(by: encoding.blockBytes)
        guard !overflow else { throw invalid(field, "the size in bytes overflows") }
        let offset = try integer(UInt64.self, field)
        return TensorLine(name: name, dimensions: dimensions, encoding: encoding, byteCount: byteCount, offset: offset)
    }

    /// Checks that every tensor lies inside the data section and that no two overlap.
    fileprivate func placed(_ table: [TensorLine], alignment: Int) throws(ModelError) -> [GGUFTensor] {
        let dataStart = (position + alignment - 1) & ~(alignment - 1)
        let dataSize = bytes.count - dataStart
        var tensors: [GGUFTensor] = []
        for line in table {
            guard line.offset.isMultiple(of: UInt64(alignment)) else {
                throw invalid(line.field, "offset \(line.offset) is not a multiple of the alignment \(alignment)")
            }
            guard dataSize >= line.byteCount, line.offset <= UInt64(dataSize - line.byteCount) else {
                throw invalid(
                    line.field,
                    "offset \(line.offset) with \(line.byteCount) bytes is beyond the end of the file "
                        + "(\(max(dataSize, 0)) bytes of data)")
            }
            tensors.append(
                GGUFTensor(
                    name: line.name, dimensions: line.dimensions, encoding: line.encoding,
                    offset: dataStart + Int(line.offset), byteCount: line.byteCount))
        }
        let sorted = tensors.sorted { $0.offset < $1.offset }
        for (tensor, next) in zip(sorted, sorted.dropFirst()) where tensor.offset + tensor.byteCount > next.offset {
            throw invalid("tensor \"\(next.name)\"", "overlaps tensor \"\(tensor.name)\"")
        }
        return tensors
    }
}
