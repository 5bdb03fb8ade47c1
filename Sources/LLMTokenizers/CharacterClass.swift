// The classes of characters that the pre-tokenisers' patterns are made of. They are pinned to one Unicode version, that
// of the reference implementation: the same text gives the same tokens whatever toolchain built the worker.

package struct CharacterClass: Equatable, Sendable {
    /// \p{L}
    package static let letter = CharacterClass(bits: 1)
    /// \p{N}
    package static let number = CharacterClass(bits: 2)
    /// \s: the property White_Space
    package static let space = CharacterClass(bits: 3)
    package static let other = CharacterClass(bits: 0)

    let bits: UInt8

    /// Classes 0…3 in the low bits, and `digitBit`. Higher planes hold neither letters nor numbers.
    static let table: [UInt8] = (0..<0x40000).map { value in Unicode.Scalar(UInt32(value)).map(look) ?? 0 }
    static let ascii: [UInt8] = (0..<128).map { look(Unicode.Scalar(UInt8($0))) }
    static let classMask: UInt8 = 3
    /// What the Digits pre-tokeniser splits at; the reference takes it from a newer table than \p{N}.
    static let digitBit: UInt8 = 4

    private static let patternVersion = 16
    private static let digitVersion = 17

    package static func of(_ value: UInt32) -> CharacterClass { CharacterClass(bits: entry(value) & classMask) }

    package static func isDigit(_ value: UInt32) -> Bool { entry(value) & digitBit != 0 }

    @inline(__always)
    static func entry(_ value: UInt32) -> UInt8 {
        if value < 0x80 { return ascii[Int(value)] }
        return value < 0x40000 ? table[Int(value)] : other.bits
    }

    private static func look(_ scalar: Unicode.Scalar) -> UInt8 {
        let properties = scalar.properties
        if properties.isWhitespace { return space.bits }
        let kind: CharacterClass
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: kind = letter
        case .decimalNumber, .letterNumber, .otherNumber: kind = number
        default: return other.bits
        }
        let version = properties.age?.major ?? 0
        return (version <= patternVersion ? kind.bits : other.bits)
            | (kind == number && version <= digitVersion ? digitBit : 0)
    }
}
