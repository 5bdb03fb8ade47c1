// GPT-2's printable stand-ins for the 256 bytes: byte-level vocabularies are written in them.

enum ByteAlphabet {
    /// Byte → character: itself for printable Latin-1, else U+0100 and up, in order.
    static let characters: [Unicode.Scalar] = {
        var next: UInt32 = 256
        return (0..<256).map { (byte: UInt32) in
            if (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte) {
                return Unicode.Scalar(byte)!
            }
            defer { next += 1 }
            return Unicode.Scalar(next)!
        }
    }()

    private static let bytes: [Unicode.Scalar: UInt8] = Dictionary(
        uniqueKeysWithValues: characters.enumerated().map { ($1, UInt8($0)) })

    /// The bytes that a piece stands for; a character outside of the alphabet stands for its own UTF-8.
    static func bytes(of piece: String) -> [UInt8] {
        var result: [UInt8] = []
        for scalar in piece.unicodeScalars {
            if let byte = bytes[scalar] { result.append(byte) } else { result.append(contentsOf: UTF8.encode(scalar)!) }
        }
        return result
    }
}
