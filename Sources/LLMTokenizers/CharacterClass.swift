// The three classes of characters that the pre-tokenisers' patterns are made of.

enum CharacterClass: UInt8 {
    /// \p{L}
    case letter
    /// \p{N}
    case number
    /// \s: the property White_Space
    case space
    case other

    init(_ scalar: Unicode.Scalar) {
        if scalar.isASCII { self = Self.ascii[Int(scalar.value)] } else { self = Self.look(scalar) }
    }

    private static let ascii: [CharacterClass] = (0..<128).map { look(Unicode.Scalar(UInt8($0))) }

    private static func look(_ scalar: Unicode.Scalar) -> CharacterClass {
        if scalar.properties.isWhitespace { return .space }
        return switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: .letter
        case .decimalNumber, .letterNumber, .otherNumber: .number
        default: .other
        }
    }
}
