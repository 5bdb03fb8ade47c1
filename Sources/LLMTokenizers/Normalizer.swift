// What happens to plain text before it is cut into words.
import Foundation

struct Normalizer: Sendable, Hashable {
    /// Where U+2581 is put before the text.
    enum Prefix: Sendable, Hashable {
        case never
        /// Before the first part of the text only.
        case first
        case always
    }

    /// Canonical composition (Qwen).
    var composes = false
    /// Spaces become U+2581 (SentencePiece).
    var marksSpaces = false
    var prefix = Prefix.never

    /// - Parameter isFirst: no added token stood before this part of the text.
    func apply(_ text: ArraySlice<Unicode.Scalar>, isFirst: Bool) -> [Unicode.Scalar] {
        var result = Array(text)
        if composes, result.contains(where: { !$0.isASCII }) {
            var string = String.UnicodeScalarView()
            string.append(contentsOf: result)
            result = Array(String(string).precomposedStringWithCanonicalMapping.unicodeScalars)
        }
        if prefix == .always || prefix == .first && isFirst, !(marksSpaces && prefix == .first && result.first == "\u{2581}") {
            result.insert("\u{2581}", at: 0)
        }
        if marksSpaces {
            for place in result.indices where result[place] == " " { result[place] = "\u{2581}" }
        }
        return result
    }
}
