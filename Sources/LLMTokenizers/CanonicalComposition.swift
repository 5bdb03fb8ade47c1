// Normalisation form C. The algorithm is Foundation's; this file hands it only the stretches that composing can change,
// and keeps to the Unicode version of the reference implementation, to which later characters are inert.
import Foundation

package enum CanonicalComposition {
    /// The reference's tables are those of Unicode 9.
    private static let version = 9

    package static func compose(_ text: UTF8Bytes) -> [UInt8] {
        // No scalar below U+0300 (UTF-8 from 0xCC on) changes unless a mark follows it.
        guard text.contains(where: { $0 >= 0xCC }) else { return Array(text) }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        // A stretch is a character that nothing before can change, and what follows it that may change.
        var start = 0
        var changes = false
        func endStretch(at end: Int) {
            if changes {
                appendComposed(text, start..<end, to: &result)
            } else {
                result.append(contentsOf: text[start..<end])
            }
            start = end
            changes = false
        }
        var place = 0
        while place < text.count {
            let (value, length) = text.scalar(at: place)
            if isStable(value) || !isKnown(value) { endStretch(at: place) } else { changes = true }
            place += length
        }
        endStretch(at: place)
        return result
    }

    private static func appendComposed(_ text: UTF8Bytes, _ stretch: Range<Int>, to result: inout [UInt8]) {
        let (value, length) = text.scalar(at: stretch.lowerBound)
        var first = stretch.lowerBound
        if !isKnown(value) {
            result.append(contentsOf: text[first..<first + length])
            first += length
        }
        let string = String(decoding: UTF8Bytes(rebasing: text[first..<stretch.upperBound]), as: UTF8.self)
        result.append(contentsOf: string.precomposedStringWithCanonicalMapping.utf8)
    }

    private static func isKnown(_ value: UInt32) -> Bool {
        guard value >= 0x300, let scalar = Unicode.Scalar(value) else { return true }
        return (scalar.properties.age?.major ?? .max) <= version
    }

    /// False for everything that composes with the character before it, is reordered, or decomposes; for some others too.
    private static func isStable(_ value: UInt32) -> Bool {
        if value < 0x300 || (0x3400...0x9FFF).contains(value) || (0xAC00...0xD7A3).contains(value) { return true }
        if singletons.contains(where: { $0.contains(value) }) { return false }
        switch Unicode.Scalar(value)?.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: return false
        default: return true
        }
    }

    /// Blocks with characters that are not marks and don't stay as they are, and the Hangul letters that compose.
    private static let singletons: [ClosedRange<UInt32>] = [
        0x340...0x387, 0x958...0x95F, 0x9DC...0x9DF, 0xA33...0xA5E, 0xB5C...0xB5D, 0xF43...0xFB9, 0x1160...0x11FF,
        0x1F00...0x1FFF, 0x2000...0x2001, 0x2126...0x212B, 0x2329...0x232A, 0x2ADC...0x2ADC, 0xF900...0xFAFF,
        0xFB1D...0xFB4F, 0x1D15E...0x1D1C0, 0x2F800...0x2FA1F,
    ]
}
