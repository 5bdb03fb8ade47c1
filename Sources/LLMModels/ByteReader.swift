// Reads the fields of a binary header one after another. Nothing is read, counted or allocated before its length has
// been compared with the bytes that are left.

struct ByteReader {
    let path: String
    let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ file: MappedFile) {
        path = file.path
        bytes = file.bytes
    }

    var remaining: Int { bytes.count - position }

    /// - Parameter field: what is being read, for the message.
    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type, _ field: @autoclosure () -> String
    ) throws(ModelError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw endOfFile(field()) }
        defer { position += MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: type))
    }

    mutating func take(_ count: UInt64, _ field: @autoclosure () -> String) throws(ModelError) -> UnsafeRawBufferPointer
    {
        guard count <= UInt64(remaining) else { throw endOfFile(field()) }
        defer { position += Int(count) }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(count)])
    }

    /// A 64-bit length and that many bytes of UTF-8.
    mutating func string(limit: Int, _ field: @autoclosure () -> String) throws(ModelError) -> String {
        let length = try integer(UInt64.self, field())
        guard length <= UInt64(limit) else {
            throw invalid(field(), "a string of \(length) bytes, more than the limit of \(limit)")
        }
        let content = try take(length, field())
        guard let text = String(validating: content, as: UTF8.self) else {
            throw invalid(field(), "the string is not valid UTF-8")
        }
        return text
    }

    func invalid(_ field: String, _ reason: String) -> ModelError {
        .invalidFile(path: path, field: field, reason: reason)
    }

    private func endOfFile(_ field: String) -> ModelError {
        invalid(field, "the file ends inside it, at byte \(bytes.count)")
    }
}
