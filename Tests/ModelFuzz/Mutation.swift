// What goes wrong with files: bytes, cuts, sections that are there twice, and the numbers that formats are made of.

/// Random numbers that a seed repeats (SplitMix64).
package struct FuzzRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

package enum Mutation {
    /// A broken copy: one to three changes.
    package static func apply(to bytes: [UInt8], _ format: FuzzFormat, _ random: inout FuzzRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            switch format {
            case .gguf, .ggufAdapter: binary(&bytes, structure: 6_000, &random)
            case .tokenizer: text(&bytes, structure: Bool.random(using: &random) ? 3_000 : .max, &random)
            case .folder, .adapter:
                var parts = HuggingFaceInput(bytes)
                if Int.random(in: 0..<3, using: &random) == 0 {
                    text(&parts.configuration, structure: .max, &random)
                } else {
                    safetensors(&parts.weights, &random)
                }
                bytes = parts.bytes
            }
        }
        return bytes
    }

    /// The header as text with its length made right, or all of it as bytes.
    private static func safetensors(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        guard bytes.count > 8, length < UInt64(bytes.count - 8), Int.random(in: 0..<4, using: &random) > 0 else {
            return binary(&bytes, structure: 64, &random)
        }
        var header = Array(bytes[8..<8 + Int(length)])
        text(&header, structure: .max, &random)
        let data = bytes[(8 + Int(length))...]
        bytes = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header + data
    }

    // MARK: Bytes

    /// - Parameter structure: most changes are among so many bytes at the beginning.
    private static func binary(_ bytes: inout [UInt8], structure: Int, _ random: inout FuzzRandom) {
        guard bytes.count > 16 else { return bytes.append(UInt8.random(in: 0...255, using: &random)) }
        let limit = Int.random(in: 0..<4, using: &random) > 0 ? min(structure, bytes.count) : bytes.count
        let place = Int.random(in: 0..<limit, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.removeSubrange(place...)
        case 3: section(&bytes, place, &random)
        default: number(&bytes, near: place, &random)
        }
    }

    /// A little-endian number of four or eight bytes: a length, a count, a type, a dimension, an offset.
    private static func number(_ bytes: inout [UInt8], near place: Int, _ random: inout FuzzRandom) {
        let width = Bool.random(using: &random) ? 8 : 4
        // Small numbers have zeros behind them.
        let places = place..<max(place, min(place + 200, bytes.count - width))
        guard
            let at = places.first(where: { bytes[$0] != 0 && bytes[$0 + 2..<$0 + width].allSatisfy { $0 == 0 } })
        else { return }
        let old = (0..<width).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(bytes[at + $1]) }
        let new = interesting(old, size: bytes.count, &random)
        for index in 0..<width { bytes[at + index] = UInt8(truncatingIfNeeded: new >> (8 * UInt64(index))) }
    }

    private static func interesting(_ old: UInt64, size: Int, _ random: inout FuzzRandom) -> UInt64 {
        [
            0, 1, old &+ 1, old &- 1, old &* 2, old / 2, old &+ 32, UInt64(size), UInt64(size) &+ old, 1 << 20, 1 << 24,
            1 << 30, 1 << 31, 0xFFFF_FFFF, 1 << 32, 1 << 46, 1 << 60, 1 << 61, 1 << 63, .max, .max - 31,
            UInt64.random(in: 0..<64, using: &random), random.next(),
        ].randomElement(using: &random)!
    }

    /// A stretch that is missing, there twice, or somewhere else.
    private static func section(_ bytes: inout [UInt8], _ place: Int, _ random: inout FuzzRandom) {
        let end = min(bytes.count, place + Int.random(in: 1..<300, using: &random))
        let section = Array(bytes[place..<end])
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes.removeSubrange(place..<end)
        case 1: bytes.insert(contentsOf: section, at: end)
        default:
            bytes.removeSubrange(place..<end)
            bytes.insert(contentsOf: section, at: Int.random(in: 0...bytes.count, using: &random))
        }
    }

    // MARK: Text

    private static let tokens = [
        "{", "}", "[", "]", "\"", ",", ":", "\\", "null", "true", "false", "0", "-1", "1e999", "1e-999", "0.5",
        "\\u0000",
        "\\ud800", "9223372036854775807", "9223372036854775808", "18446744073709551616", "4294967295", "2147483648",
        "16777216", "65536", "320", "64", "[[[[", "{\"a\":{\"a\":", "\"\"", "\u{0}", "\u{FEFF}",
    ].map { Array($0.utf8) }

    private static func text(_ bytes: inout [UInt8], structure: Int, _ random: inout FuzzRandom) {
        guard bytes.count > 4 else { return bytes.append(contentsOf: tokens.randomElement(using: &random)!) }
        let place = Int.random(in: 0..<min(structure, bytes.count), using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.insert(contentsOf: tokens.randomElement(using: &random)!, at: place)
        case 2: bytes.removeSubrange(place...)
        case 3: section(&bytes, place, &random)
        default: value(&bytes, near: place, &random)
        }
    }

    /// The next number or word becomes another one.
    private static func value(_ bytes: inout [UInt8], near place: Int, _ random: inout FuzzRandom) {
        func isPart(_ byte: UInt8) -> Bool {
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
        }
        let before =
            place + bytes[place...].prefix(400).prefix { $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "[") }.count
        guard let start = bytes[before...].prefix(60).firstIndex(where: isPart) else { return }
        let end = start + bytes[start...].prefix(40).prefix(while: isPart).count
        bytes.replaceSubrange(start..<end, with: tokens.randomElement(using: &random)!)
    }
}
