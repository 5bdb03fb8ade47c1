// Rows in COPY's text format.

/// Gathers rows into pieces that are worth sending.
struct CopyText {
    private var bytes: [UInt8] = []

    var isFull: Bool { bytes.count >= 1 << 16 }

    mutating func take() -> [UInt8] {
        defer { bytes.removeAll(keepingCapacity: true) }
        return bytes
    }

    mutating func append(_ row: [String?]) {
        for (index, value) in row.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "\t")) }
            guard let value else {
                bytes.append(contentsOf: Array("\\N".utf8))
                continue
            }
            for byte in value.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): bytes.append(contentsOf: Array("\\\\".utf8))
                case UInt8(ascii: "\n"): bytes.append(contentsOf: Array("\\n".utf8))
                case UInt8(ascii: "\r"): bytes.append(contentsOf: Array("\\r".utf8))
                case UInt8(ascii: "\t"): bytes.append(contentsOf: Array("\\t".utf8))
                default: bytes.append(byte)
                }
            }
        }
        bytes.append(UInt8(ascii: "\n"))
    }
}
