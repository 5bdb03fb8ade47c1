// Values as text: Python's str() and repr(), and json.dumps. All walks are charged as they go: a small value can print
// long, since its parts may be shared.
import JSON

extension Interpreter {
    /// Python's `str(value)`.
    func text(_ value: TemplateValue) throws(TemplateFault) -> String {
        switch value {
        case .string(let text), .markup(let text): return text
        case .undefined: return ""
        default: return try representation(value)
        }
    }

    /// Python's `repr(value)`.
    func representation(_ value: TemplateValue) throws(TemplateFault) -> String {
        var out = ""
        try represent(value, level: 0, into: &out)
        try reserve(bytes: out.utf8.count)
        return out
    }

    static func text(_ number: Double) -> String {
        number.isNaN ? "nan" : number.isInfinite ? (number < 0 ? "-inf" : "inf") : number.description
    }

    private func represent(_ value: TemplateValue, level: Int, into out: inout String) throws(TemplateFault) {
        try charge(elements: 1)
        guard out.utf8.count <= limits.outputBytes, level <= limits.valueDepth else {
            throw TemplateFault(.limit, "the text of a value is too long or too deep", place)
        }
        switch value {
        case .undefined: out += "Undefined"
        case .none: out += "None"
        case .boolean(let value): out += value ? "True" : "False"
        case .integer(let value): out += String(value)
        case .float(let value): out += Self.text(value)
        case .string(let text): try quote(text, into: &out)
        case .markup(let text):
            out += "Markup("
            try quote(text, into: &out)
            out += ")"
        case .list(let list): try represent(list.elements, "[", "]", level, into: &out)
        case .tuple(let list):
            try represent(list.elements, "(", list.elements.count == 1 ? ",)" : ")", level, into: &out)
        case .dictionary(let dictionary):
            out += "{"
            for (index, entry) in dictionary.entries.enumerated() {
                if index > 0 { out += ", " }
                try represent(entry.key.value, level: level + 1, into: &out)
                out += ": "
                try represent(entry.value, level: level + 1, into: &out)
            }
            out += "}"
        case .view(let view):
            out += "dict_\(view.kind.rawValue)("
            try represent(view.elements, "[", "]", level, into: &out)
            out += ")"
        case .range(let range):
            out += "range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))"
        case .iterator: out += "<generator>"
        case .namespace(let namespace):
            out += "<Namespace {"
            for (index, entry) in namespace.attributes.enumerated() {
                if index > 0 { out += ", " }
                try represent(entry.key.value, level: level + 1, into: &out)
                out += ": "
                try represent(entry.value, level: level + 1, into: &out)
            }
            out += "}>"
        case .loop(let loop): out += "<LoopContext \(loop.index + 1)/\(loop.items.count)>"
        case .callable(let callable):
            if case .macro(let macro) = callable.kind {
                out += "<Macro '\(macro.node.name)'>"
            } else {
                out += "<function>"
            }
        }
    }

    private func represent(
        _ elements: [TemplateValue], _ open: String, _ close: String, _ level: Int, into out: inout String
    ) throws(TemplateFault) {
        out += open
        for (index, element) in elements.enumerated() {
            if index > 0 { out += ", " }
            try represent(element, level: level + 1, into: &out)
        }
        out += close
    }

    private func quote(_ text: String, into out: inout String) throws(TemplateFault) {
        try charge(text.utf8.count)
        let bytes = text.utf8
        let quote: Unicode.Scalar =
            bytes.contains(UInt8(ascii: "'")) && !bytes.contains(UInt8(ascii: "\"")) ? "\"" : "'"
        out.unicodeScalars.append(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case quote, "\\":
                out += "\\"
                out.unicodeScalars.append(scalar)
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where Self.isPrintable(scalar): out.unicodeScalars.append(scalar)
            default:
                let hex = String(scalar.value, radix: 16)
                let (mark, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
                out += "\\" + mark + String(repeating: "0", count: width - hex.count) + hex
            }
        }
        out.unicodeScalars.append(quote)
    }

    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value >= 0x20 && scalar.value < 0x7F }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }

    // MARK: JSON

    struct JSONOptions {
        var isASCIIOnly = false
        /// What one level is indented by; nil keeps all on one line.
        var indentation: String?
        var itemSeparator = ", "
        var keySeparator = ": "
        var sortsKeys = false
    }

    /// Python's `json.dumps`.
    func json(_ value: TemplateValue, _ options: JSONOptions) throws(TemplateFault) -> String {
        var out = ""
        try writeJSON(value, options, level: 0, into: &out)
        try reserve(bytes: out.utf8.count)
        return out
    }

    private func writeJSON(
        _ value: TemplateValue, _ options: JSONOptions, level: Int, into out: inout String
    ) throws(TemplateFault) {
        try charge(elements: 1)
        guard out.utf8.count <= limits.outputBytes else {
            throw TemplateFault(.limit, "more than \(limits.outputBytes) bytes of JSON", place)
        }
        switch value {
        case .none: out += "null"
        case .boolean(let value): out += value ? "true" : "false"
        case .integer(let value): out += String(value)
        case .float(let value): out += Self.jsonText(value)
        case .string(let text), .markup(let text):
            try charge(text.utf8.count)
            JSONValue.writeQuoted(text, to: &out, asciiOnly: options.isASCIIOnly)
        case .list(let list), .tuple(let list):
            out += "["
            for (index, element) in list.elements.enumerated() {
                try separate(index, options, level + 1, into: &out)
                try writeJSON(element, options, level: level + 1, into: &out)
            }
            if !list.elements.isEmpty { try newLine(options, level, into: &out) }
            out += "]"
        case .dictionary(let dictionary):
            var entries = dictionary.entries.elements.map { ($0.key.value, $0.value) }
            if options.sortsKeys { entries = try sorted(entries, by: \.0) }
            out += "{"
            for (index, (key, element)) in entries.enumerated() {
                try separate(index, options, level + 1, into: &out)
                let name = try keyText(key)
                try charge(name.utf8.count)
                JSONValue.writeQuoted(name, to: &out, asciiOnly: options.isASCIIOnly)
                out += options.keySeparator
                try writeJSON(element, options, level: level + 1, into: &out)
            }
            if !entries.isEmpty { try newLine(options, level, into: &out) }
            out += "}"
        default: throw fail("a \(value.typeName) cannot be written as JSON")
        }
    }

    private static func jsonText(_ number: Double) -> String {
        number.isNaN ? "NaN" : number.isInfinite ? (number < 0 ? "-Infinity" : "Infinity") : number.description
    }

    private func keyText(_ key: TemplateValue) throws(TemplateFault) -> String {
        switch key {
        case .string(let text), .markup(let text): return text
        case .none: return "null"
        case .boolean(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .float(let value): return Self.jsonText(value)
        default: throw fail("a \(key.typeName) cannot be the name of a JSON member")
        }
    }

    private func separate(
        _ index: Int, _ options: JSONOptions, _ level: Int, into out: inout String
    ) throws(TemplateFault) {
        if index > 0 { out += options.itemSeparator }
        try newLine(options, level, into: &out)
    }

    private func newLine(_ options: JSONOptions, _ level: Int, into out: inout String) throws(TemplateFault) {
        guard let indentation = options.indentation else { return }
        try reserve(bytes: indentation.utf8.count * level)
        out += "\n"
        for _ in 0..<level { out += indentation }
    }
}
