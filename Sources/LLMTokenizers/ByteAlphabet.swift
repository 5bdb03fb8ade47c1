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

    /// The same as UTF-8.
    static let encodings: [[UInt8]] = characters.map { Array(UTF8.encode($0)!) }

    /// The bytes that a piece stands for; the piece itself if one of its characters is not of the alphabet.
    static func bytes(of piece: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(piece.count)
        // Characters of the alphabet are below U+0144: one or two bytes of UTF-8.
        var place = piece.startIndex
        while place < piece.endIndex {
            let first = piece[place]
            var value = UInt32(first)
            place += 1
            if first >= 0x80 {
                guard first & 0xE0 == 0xC0, place < piece.endIndex, piece[place] & 0xC0 == 0x80 else {
                    return Array(piece)
                }
                value = UInt32(first & 0x1F) << 6 | UInt32(piece[place] & 0x3F)
                place += 1
            }
            guard let byte = byte(value) else { return Array(piece) }
            result.append(byte)
        }
        return result
    }

    private static let table: [Int16] = {
        var table = Array(repeating: Int16(-1), count: 512)
        for (byte, character) in characters.enumerated() { table[Int(character.value)] = Int16(byte) }
        return table
    }()

    private static func byte(_ value: UInt32) -> UInt8? {
        guard value < 512, table[Int(value)] >= 0 else { return nil }
        return UInt8(table[Int(value)])
    }
}
