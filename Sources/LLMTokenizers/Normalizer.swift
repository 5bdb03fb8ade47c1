// What happens to plain text before it is cut into words.

/// One change of the text between two added tokens.
enum TextStep: Sendable, Hashable {
    /// Canonical composition (Qwen).
    case compose
    case replace([UInt8], with: [UInt8])
    /// Puts these bytes before a text that is not empty.
    case prepend([UInt8])
    /// The same unless the text begins with them; `onlyFirst`: only where no added token stood before the text.
    case prependMissing([UInt8], onlyFirst: Bool)

    /// U+2581, SentencePiece's sign for a space.
    static let mark: [UInt8] = [0xE2, 0x96, 0x81]
    static let marksSpaces = TextStep.replace([UInt8(ascii: " ")], with: mark)
}

/// The steps in the order of the file.
struct Normalizer: Sendable, Hashable {
    var steps: [TextStep] = []

    /// - Parameter isFirst: no added token stood before this text.
    /// - Returns: nil when nothing changes.
    func apply(_ text: UTF8Bytes, isFirst: Bool) -> [UInt8]? {
        var changed: [UInt8]?
        for step in steps {
            if let before = changed {
                changed = before.withUnsafeBufferPointer { step.apply($0, isFirst) } ?? before
            } else {
                changed = step.apply(text, isFirst)
            }
        }
        return changed
    }
}

extension TextStep {
    fileprivate func apply(_ text: UTF8Bytes, _ isFirst: Bool) -> [UInt8]? {
        switch self {
        case .compose: return text.contains(where: { $0 >= 0xCC }) ? CanonicalComposition.compose(text) : nil
        case .replace(let pattern, let content): return Self.replace(pattern, content, text)
        case .prepend(let prefix): return text.isEmpty ? nil : prefix + text
        case .prependMissing(let prefix, let onlyFirst):
            return text.isEmpty || onlyFirst && !isFirst || text.starts(with: prefix) ? nil : prefix + text
        }
    }

    static func replace(_ pattern: [UInt8], _ content: [UInt8], _ text: UTF8Bytes) -> [UInt8]? {
        guard let first = pattern.first, text.contains(first) else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(text.count + text.count / 2)
        var place = 0
        while place < text.count {
            if text[place] == first, text.starts(with: pattern, at: place) {
                result.append(contentsOf: content)
                place += pattern.count
            } else {
                result.append(text[place])
                place += 1
            }
        }
        return result
    }
}
