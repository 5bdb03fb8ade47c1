// Writes a JSONValue as text: compact by default, or with the separators and indentation that a caller names.

/// How JSON text is laid out. `compact` has no white space at all; `python` is what `json.dumps` prints, which chat
/// templates rely on; `pretty` is for people.
package struct JSONStyle: Sendable {
    package var itemSeparator: String
    package var keySeparator: String
    /// Spaces per level, none for zero and less; nil keeps everything on one line.
    package var indentation: Int?

    package init(itemSeparator: String, keySeparator: String, indentation: Int? = nil) {
        self.itemSeparator = itemSeparator
        self.keySeparator = keySeparator
        self.indentation = indentation
    }

    package static let compact = JSONStyle(itemSeparator: ",", keySeparator: ":")
    package static let python = JSONStyle(itemSeparator: ", ", keySeparator: ": ")
    package static let pretty = JSONStyle(itemSeparator: ",", keySeparator: ": ", indentation: 2)
}

extension JSONValue {
    /// The value as text. Non-ASCII text is written as it is; a number that is not finite, which JSON cannot hold,
    /// as `null`.
    package func text(_ style: JSONStyle = .compact) -> String {
        var out = ""
        write(to: &out, style, level: 0)
        return out
    }

    private func write(to out: inout String, _ style: JSONStyle, level: Int) {
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .integer(let value): out += String(value)
        // Swift prints the shortest digits that read back as the same number, in the form that Python prints as well.
        case .number(let value): out += value.isFinite ? value.description : "null"
        case .string(let value): Self.writeQuoted(value, to: &out)
        case .array(let elements):
            Self.writeList("[", "]", elements, to: &out, style, level) { element, out in
                element.write(to: &out, style, level: level + 1)
            }
        case .object(let members):
            Self.writeList("{", "}", members.elements, to: &out, style, level) { member, out in
                Self.writeQuoted(member.key, to: &out)
                out += style.keySeparator
                member.value.write(to: &out, style, level: level + 1)
            }
        }
    }

    private static func writeList<Items: Collection>(
        _ open: String, _ close: String, _ items: Items, to out: inout String, _ style: JSONStyle, _ level: Int,
        _ write: (Items.Element, inout String) -> Void
    ) {
        out += open
        var isFirst = true
        for item in items {
            if !isFirst { out += style.itemSeparator }
            isFirst = false
            newLine(to: &out, style, level + 1)
            write(item, &out)
        }
        if !isFirst { newLine(to: &out, style, level) }
        out += close
    }

    private static func newLine(to out: inout String, _ style: JSONStyle, _ level: Int) {
        guard let indentation = style.indentation else { return }
        out += "\n" + String(repeating: " ", count: max(0, indentation) * level)
    }

    /// Writes a string with its quotes.
    /// - Parameter asciiOnly: escape every character beyond ASCII, as UTF-16 code units.
    package static func writeQuoted(_ value: String, to out: inout String, asciiOnly: Bool = false) {
        out += "\""
        let bytes = value.utf8
        // Text that needs no escape is copied run by run.
        var start = bytes.startIndex
        var place = start
        while place < bytes.endIndex {
            let byte = bytes[place]
            if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte < 0x7F || !asciiOnly {
                bytes.formIndex(after: &place)
                continue
            }
            out += value[start..<place]
            let scalar = value.unicodeScalars[place]
            writeEscape(scalar, to: &out)
            value.unicodeScalars.formIndex(after: &place)
            start = place
        }
        out += value[start...]
        out += "\""
    }

    private static func writeEscape(_ scalar: Unicode.Scalar, to out: inout String) {
        switch scalar {
        case "\"": out += "\\\""
        case "\\": out += "\\\\"
        case "\n": out += "\\n"
        case "\r": out += "\\r"
        case "\t": out += "\\t"
        case "\u{08}": out += "\\b"
        case "\u{0C}": out += "\\f"
        default:
            for unit in UTF16.encode(scalar)! {
                let hex = String(unit, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }
        }
    }
}
