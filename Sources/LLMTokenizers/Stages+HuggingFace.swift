// The stages of a tokenizer.json, recognised by their structure and the exact text of their patterns.
import JSON

/// A stage and the stages inside it, one after the other.
private func flatten(_ value: JSONValue?, _ list: String) -> [JSONValue] {
    guard let value, value != .null else { return [] }
    guard value["type"] == "Sequence", let parts = value[list]?.arrayValue else { return [value] }
    return parts.flatMap { flatten($0, list) }
}

private let space: JSONValue = ["String": " "]
private let mark: JSONValue = "\u{2581}"

extension Normalizer {
    init(huggingFace value: JSONValue?) throws(TokenizerError) {
        for part in flatten(value, "normalizers") {
            switch part["type"]?.stringValue {
            case "NFC": steps.append(.compose)
            case "Prepend":
                guard let text = part["prepend"]?.stringValue else { fallthrough }
                steps.append(.prepend(Array(text.utf8)))
            case "Replace":
                guard let pattern = part["pattern"]?["String"]?.stringValue, !pattern.isEmpty,
                    let content = part["content"]?.stringValue
                else { fallthrough }
                steps.append(.replace(Array(pattern.utf8), with: Array(content.utf8)))
            default: throw .unsupported(field: "normalizer", value: part.summary)
            }
        }
    }
}

/// The pre-tokeniser and the steps it takes before it cuts.
struct HuggingFacePreTokenizer {
    var preparation = Normalizer()
    var preTokenizer: PreTokenizer

    /// The whole text of each pattern: what differs in one character is another pattern.
    private static let patterns: [(String, WordPattern)] = [
        (#"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2),
        (#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2),
        (
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            .gpt4(digits: 1)
        ),
        (
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            .gpt4(digits: 3)
        ),
    ]

    init(_ value: JSONValue?) throws(TokenizerError) {
        let parts = flatten(value, "pretokenizers")
        func unsupported(_ part: JSONValue) -> TokenizerError {
            .unsupported(field: "pre_tokenizer", value: part.summary)
        }
        guard parts.contains(where: { $0["type"] == "ByteLevel" }) else {
            guard let part = parts.first else {
                preTokenizer = .characters(.whole)
                return
            }
            guard parts.count == 1, let cut = Self.characterCut(part, &preparation) else {
                throw unsupported(value ?? .null)
            }
            preTokenizer = .characters(cut)
            return
        }
        var pattern: WordPattern?
        var isolatesDigits = false
        for (place, part) in parts.enumerated() {
            let isLast = place == parts.count - 1
            switch part["type"]?.stringValue {
            case "Digits" where !isLast && pattern == nil && part["individual_digits"] == true: isolatesDigits = true
            case "Split" where !isLast && pattern == nil:
                let known = Self.patterns.first { part["pattern"]?["Regex"]?.stringValue == $0.0 }
                guard let known, part["behavior"] == "Isolated", part["invert"] ?? false == false else {
                    throw unsupported(part)
                }
                pattern = known.1
            case "ByteLevel" where isLast:
                if part["use_regex"] ?? true == true {
                    // The expression would cut what is cut already, and not always at the same places.
                    guard pattern == nil else { throw unsupported(value ?? .null) }
                    pattern = .gpt2
                }
                if part["add_prefix_space"] ?? true == true {
                    guard place == 0 else { throw unsupported(value ?? .null) }
                    preparation.steps.append(.prependMissing([UInt8(ascii: " ")], onlyFirst: false))
                }
            default: throw unsupported(part)
            }
        }
        preTokenizer = .bytes(pattern ?? .whole, isolatesDigits: isolatesDigits)
    }

    private static func characterCut(
        _ part: JSONValue, _ preparation: inout Normalizer
    ) -> PreTokenizer.CharacterCut? {
        switch part["type"]?.stringValue {
        case "Split":
            guard part["pattern"] == space, part["behavior"] == "MergedWithPrevious", part["invert"] ?? false == false
            else { return nil }
            return .afterSpaces
        case "Metaspace":
            guard part["replacement"] == mark else { return nil }
            preparation.steps = [.marksSpaces]
            guard let scheme = MetaspaceScheme(part) else { return nil }
            switch scheme {
            case .never: break
            case .first: preparation.steps.append(.prependMissing(TextStep.mark, onlyFirst: true))
            case .always: preparation.steps.append(.prependMissing(TextStep.mark, onlyFirst: false))
            }
            return part["split"] ?? true == true ? .beforeMarks : .whole
        default: return nil
        }
    }
}

/// Where Metaspace puts U+2581 before a text. Older files have `add_prefix_space` instead.
private enum MetaspaceScheme: String {
    case never, first, always

    init?(_ value: JSONValue) {
        guard let scheme = value["prepend_scheme"] else {
            self = value["add_prefix_space"] ?? true == true ? .always : .never
            return
        }
        self.init(rawValue: scheme.stringValue ?? "")
    }
}

extension PostProcessor {
    /// - Parameter id: the id of a token's text.
    init(huggingFace value: JSONValue?) throws(TokenizerError) {
        for part in flatten(value, "processors") {
            switch part["type"]?.stringValue {
            case "ByteLevel": break
            case "TemplateProcessing":
                let (before, after) = try Self.template(part)
                prefix = before + prefix
                suffix += after
            default: throw .unsupported(field: "post_processor", value: part.summary)
            }
        }
    }

    /// The tokens before and after the text in the template for a single text.
    private static func template(_ value: JSONValue) throws(TokenizerError) -> ([Int32], [Int32]) {
        var before: [Int32] = []
        var after: [Int32]?
        for part in value["single"]?.arrayValue ?? [] {
            if part["Sequence"]?["id"] == "A", after == nil {
                after = []
                continue
            }
            guard let name = part["SpecialToken"]?["id"]?.stringValue else {
                throw .unsupported(field: "post_processor.single", value: value.summary)
            }
            // Names that are canonically equivalent can't be told apart here; no special token is of that kind.
            guard let ids = value["special_tokens"]?[name]?["ids"]?.arrayValue else {
                throw .invalid(field: "post_processor.special_tokens", reason: "\"\(name)\" is missing")
            }
            for id in ids {
                guard let id = id.intValue.flatMap(Int32.init(exactly:)) else {
                    throw .invalid(field: "post_processor.special_tokens", reason: "an id of \"\(name)\" is no token")
                }
                if after == nil { before.append(id) } else { after?.append(id) }
            }
        }
        guard let after else {
            throw .invalid(field: "post_processor.single", reason: "the template has no place for the text")
        }
        return (before, after)
    }
}

extension Decoder {
    init(huggingFace value: JSONValue?, _ pieces: ByteStrings) throws(TokenizerError) {
        var parts = flatten(value, "decoders")[...]
        func take(_ type: String) -> JSONValue? {
            guard parts.first?["type"]?.stringValue == type else { return Optional.none }
            return parts.removeFirst()
        }
        func unsupported() -> TokenizerError { .unsupported(field: "decoder", value: (value ?? .null).summary) }

        if take("ByteLevel") != nil {
            self = .bytes(pieces)
        } else if let part = take("Metaspace") {
            guard part["replacement"] == mark, let scheme = MetaspaceScheme(part) else { throw unsupported() }
            self = .characters(pieces, replaced: (TextStep.mark, [UInt8(ascii: " ")]), hasByteFallback: false)
            dropsMarksOfFirstToken = scheme != .never
        } else {
            var replaced: (of: [UInt8], by: [UInt8])?
            if let part = take("Replace") {
                guard let pattern = part["pattern"]?["String"]?.stringValue, !pattern.isEmpty,
                    let content = part["content"]?.stringValue
                else { throw unsupported() }
                replaced = (Array(pattern.utf8), Array(content.utf8))
            }
            let hasByteFallback = take("ByteFallback") != nil
            let isFused = take("Fuse") != nil
            guard replaced != nil || hasByteFallback || isFused else { throw unsupported() }
            self = .characters(pieces, replaced: replaced, hasByteFallback: hasByteFallback)
            if isFused, let part = take("Strip") {
                guard part["content"] == " ", part["stop"] == 0, let count = part["start"]?.intValue, count >= 0 else {
                    throw unsupported()
                }
                strippedSpaces = count
            }
        }
        guard parts.isEmpty else { throw unsupported() }
    }
}
