// Methods of strings, dictionaries, lists and loops that a sandboxed template can call.

enum Methods {
    static let listMutators: Set<String> = [
        "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove",
    ]
    static let dictionaryMutators: Set<String> = ["clear", "pop", "popitem", "setdefault", "update"]

    struct Signature {
        var parameters: [String] = []
        var required = 0
        var takesNames = false
    }

    static let ofStrings: [String: Signature] = {
        let affix = Signature(parameters: ["affix", "start", "end"], required: 1)
        let part = Signature(parameters: ["sub", "start", "end"], required: 1)
        let split = Signature(parameters: ["sep", "maxsplit"], takesNames: true)
        let strip = Signature(parameters: ["chars"])
        let width = Signature(parameters: ["width", "fillchar"], required: 1)
        let one = Signature(parameters: ["text"], required: 1)
        var table: [String: Signature] = [
            "startswith": affix, "endswith": affix, "find": part, "rfind": part, "index": part, "rindex": part,
            "count": part, "split": split, "rsplit": split, "strip": strip, "lstrip": strip, "rstrip": strip,
            "center": width, "ljust": width, "rjust": width, "join": one, "removeprefix": one, "removesuffix": one,
            "partition": one, "rpartition": one, "zfill": Signature(parameters: ["width"], required: 1),
            "splitlines": Signature(parameters: ["keepends"], takesNames: true),
            "replace": Signature(parameters: ["old", "new", "count"], required: 2),
        ]
        for name in [
            "upper", "lower", "title", "capitalize", "swapcase", "isalnum", "isalpha", "isascii", "isdecimal",
            "isdigit", "isnumeric", "isspace", "isupper", "islower",
        ] {
            table[name] = Signature()
        }
        return table
    }()

    static func exist(_ name: String, on value: TemplateValue) -> Bool {
        switch (value, name) {
        case (.string, _), (.markup, _): name == "format" || ofStrings[name] != nil
        case (.dictionary, "get"), (.dictionary, "items"), (.dictionary, "keys"), (.dictionary, "values"),
            (.dictionary, "copy"), (.list, "copy"), (.list, "count"), (.list, "index"), (.tuple, "count"),
            (.tuple, "index"), (.float, "is_integer"):
            true
        default: false
        }
    }
}

extension Interpreter {
    @inline(never)
    func callMethod(
        _ name: String, _ receiver: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        switch receiver {
        case .string(let text): return try callText(name, text, arguments)
        case .markup(let text): return try callMarkup(name, text, arguments)
        case .dictionary(let dictionary): return try call(name, dictionary, receiver, arguments)
        case .list(let list), .tuple(let list): return try call(name, list, receiver, arguments)
        case .loop(let loop): return try call(name, loop, arguments)
        case .float(let value):
            _ = try bind(arguments, of: "is_integer()", to: [])
            return .boolean(value == value.rounded())
        default: throw fail("\(receiver.typeName) has no method '\(name)'")
        }
    }

    // MARK: Containers

    private func call(
        _ name: String, _ dictionary: TemplateDictionary, _ receiver: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        if name == "get" {
            let bound = try bind(
                arguments, of: "get()", to: ["key", "default"], required: 1, positionalOnly: 2)
            guard let value = bound[0], let key = try key(value) else { throw fail("this value cannot be a key") }
            return dictionary.entries[key] ?? bound[1] ?? .none
        }
        _ = try bind(arguments, of: "\(name)()", to: [])
        try charge(elements: dictionary.entries.count)
        switch name {
        case "keys": return try view(.keys, dictionary.entries.keys.map(\.value))
        case "values": return try view(.values, Array(dictionary.entries.values))
        case "items": return try view(.items, try pairs(dictionary))
        default: return receiver
        }
    }

    private func view(_ kind: TemplateView.Kind, _ elements: [TemplateValue]) throws(TemplateFault) -> TemplateValue {
        .view(TemplateView(kind, elements, depth: try depth(over: elements)))
    }

    func pairs(_ dictionary: TemplateDictionary) throws(TemplateFault) -> [TemplateValue] {
        var pairs: [TemplateValue] = []
        for (key, value) in dictionary.entries { pairs.append(try tuple([key.value, value])) }
        return pairs
    }

    private func call(
        _ name: String, _ list: TemplateList, _ receiver: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        if name == "copy" {
            _ = try bind(arguments, of: "copy()", to: [])
            return receiver
        }
        let bound = try bind(arguments, of: "\(name)()", to: ["value"], required: 1, positionalOnly: 1)
        var count = 0
        for (index, element) in list.elements.enumerated() {
            try charge(elements: 1)
            guard let value = bound[0], try equal(element, value) else { continue }
            if name == "index" { return .integer(index) }
            count += 1
        }
        guard name == "count" else { throw fail("the \(receiver.typeName) has no such element") }
        return .integer(count)
    }

    private func call(
        _ name: String, _ loop: TemplateLoop, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        guard arguments.keywords.isEmpty else { throw fail("loop.\(name)() takes no keyword arguments") }
        let values = arguments.positional
        if name == "cycle" {
            guard !values.isEmpty else { throw fail("loop.cycle() needs values") }
            return values[loop.index % values.count]
        }
        var isSame = loop.lastChanged?.count == values.count
        for (old, new) in zip(loop.lastChanged ?? [], values) where isSame { isSame = try equal(old, new) }
        keepChanged(values, of: loop)
        return .boolean(!isSame)
    }

    // MARK: Strings

    /// A marked string escapes what it is given, and its parts stay marked.
    private func callMarkup(
        _ name: String, _ text: String, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        if name == "format" { return .markup(try text.formatted(arguments, escapes: true, self)) }
        var arguments = arguments
        for (index, value) in arguments.positional.enumerated() {
            if case .string(let text) = value { arguments.positional[index] = .markup(try escaped(text)) }
        }
        return marked(try callText(name, text, arguments))
    }

    private func marked(_ value: TemplateValue) -> TemplateValue {
        switch value {
        case .string(let text): .markup(text)
        case .list(let list): .list(TemplateList(list.elements.map(marked), depth: list.depth))
        case .tuple(let list): .tuple(TemplateList(list.elements.map(marked), depth: list.depth))
        default: value
        }
    }

    private func callText(
        _ name: String, _ text: String, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        try charge(text.utf8.count)
        if name == "format" { return try string(try text.formatted(arguments, escapes: false, self)) }
        guard let signature = Methods.ofStrings[name] else { throw fail("str has no method '\(name)'") }
        let bound = try bind(
            arguments, of: "\(name)()", to: signature.parameters, required: signature.required,
            positionalOnly: signature.takesNames ? 0 : signature.parameters.count)
        switch name {
        case "upper": return try string(TemplateText.upper(text))
        case "lower": return try string(TemplateText.lower(text))
        case "title": return try string(TemplateText.title(text))
        case "capitalize": return try string(TemplateText.capitalize(text))
        case "swapcase": return try string(TemplateText.swapCase(text))
        case "strip", "lstrip", "rstrip":
            let characters = try bound.given(0).map { value throws(TemplateFault) in
                try self.text(value, default: "", of: "\(name)()")
            }
            return .string(
                TemplateText.strip(text, characters: characters, left: name != "rstrip", right: name != "lstrip"))
        case "split", "rsplit": return try split(text, bound, fromEnd: name == "rsplit")
        case "splitlines": return try strings(TemplateText.lines(text, keepEnds: bound.isTrue(0)))
        case "startswith", "endswith": return try hasAffix(text, bound, atEnd: name == "endswith")
        case "find", "rfind", "index", "rindex", "count": return try search(name, text, bound)
        case "replace":
            let limit = try integer(bound[2], default: -1, of: "replace()")
            return try replace(
                text, try self.text(bound[0], default: "", of: "replace()"),
                try self.text(bound[1], default: "", of: "replace()"), limit: limit)
        case "join": return try join(try elements(of: bound[0] ?? .none), with: text, stringsOnly: true)
        case "removeprefix", "removesuffix", "partition", "rpartition":
            return try cut(name, text, try self.text(bound[0], default: "", of: "\(name)()"))
        case "center", "ljust", "rjust", "zfill":
            return try pad(
                name, text, try integer(bound[0], default: 0, of: "\(name)()"),
                name == "zfill" ? "0" : try self.text(bound[1], default: " ", of: "\(name)()"))
        default: return .boolean(TemplateText.test(name, text))
        }
    }

    private func split(_ text: String, _ bound: BoundArguments, fromEnd: Bool) throws(TemplateFault) -> TemplateValue {
        let limit = try integer(bound[1], default: -1, of: "split()")
        guard let separator = bound.given(0) else {
            return try strings(
                fromEnd ? TemplateText.wordsFromEnd(text, limit: limit) : TemplateText.words(text, limit: limit))
        }
        let by = try self.text(separator, default: "", of: "split()")
        guard !by.isEmpty else { throw fail("split() needs a separator that is not empty") }
        try charge(by.utf8.count)
        return try strings(
            fromEnd
                ? TemplateText.splitFromEnd(text, by, limit: limit) : TemplateText.split(text, by, limit: limit))
    }

    /// The part that start and end arguments select, by code points; nil for a start beyond the text.
    private func part(
        _ text: String, _ bound: BoundArguments
    ) throws(TemplateFault) -> (text: String, offset: Int)? {
        guard bound[1] != nil || bound[2] != nil else { return (text, 0) }
        let length = TemplateText.count(text)
        let start = try bound.given(1).map { value throws(TemplateFault) in
            try integer(value, default: 0, of: "a str method")
        }
        let end = try bound.given(2).map { value throws(TemplateFault) in
            try integer(value, default: 0, of: "a str method")
        }
        let indices = SliceIndices(start: start, stop: end, step: 1, length: length)
        guard start ?? 0 <= length, indices.start <= indices.stop else { return nil }
        return (TemplateText.scalars(text, indices), indices.start)
    }

    private func hasAffix(_ text: String, _ bound: BoundArguments, atEnd: Bool) throws(TemplateFault) -> TemplateValue {
        var affixes = [bound[0] ?? .none]
        if case .tuple(let list)? = bound[0] { affixes = list.elements }
        let part = try part(text, bound)?.text
        for affix in affixes {
            let affix = try self.text(affix, default: "", of: atEnd ? "endswith()" : "startswith()")
            try charge(affix.utf8.count)
            guard let part else { continue }
            if atEnd ? TemplateText.hasSuffix(part, affix) : TemplateText.hasPrefix(part, affix) {
                return .boolean(true)
            }
        }
        return .boolean(false)
    }

    private func search(_ name: String, _ text: String, _ bound: BoundArguments) throws(TemplateFault) -> TemplateValue
    {
        let needle = try self.text(bound[0], default: "", of: "\(name)()")
        try charge(needle.utf8.count)
        let part = try part(text, bound)
        if name == "count" {
            return .integer(part.map { TemplateText.occurrences(of: needle, in: $0.text) } ?? 0)
        }
        if let part {
            let isLast = name == "rfind" || name == "rindex"
            let place = isLast ? TemplateText.findLast(needle, in: part.text) : TemplateText.find(needle, in: part.text)
            if let place { return .integer(part.offset + TemplateText.scalarOffset(part.text, ofByte: place)) }
        }
        guard name == "find" || name == "rfind" else { throw fail("\(name)() finds no such part") }
        return .integer(-1)
    }

    func replace(
        _ text: String, _ old: String, _ new: String, limit: Int
    ) throws(TemplateFault) -> TemplateValue {
        try charge(text.utf8.count + old.utf8.count)
        var count = TemplateText.occurrences(of: old, in: text)
        if limit >= 0 { count = min(count, limit) }
        let (added, overflow) = count.multipliedReportingOverflow(by: new.utf8.count)
        try reserve(
            bytes: overflow ? .max : min(added, limits.outputBytes + 1) + text.utf8.count - count * old.utf8.count)
        return .string(TemplateText.replace(text, old, new, limit: limit))
    }

    /// - Parameter stringsOnly: refuse other elements, as the method does; the filter prints them.
    func join(
        _ elements: [TemplateValue], with separator: String, stringsOnly: Bool
    ) throws(TemplateFault) -> TemplateValue {
        var result = ""
        for (index, element) in elements.enumerated() {
            guard !stringsOnly || element.text != nil else { throw fail("join() needs strs, not \(element.typeName)") }
            let part = try text(element)
            try charge(part.utf8.count + separator.utf8.count)
            guard result.utf8.count + part.utf8.count + separator.utf8.count <= limits.outputBytes else {
                throw TemplateFault(.limit, "a text of more than \(limits.outputBytes) bytes", place)
            }
            if index > 0 { result += separator }
            result += part
        }
        return .string(result)
    }

    private func cut(_ name: String, _ text: String, _ by: String) throws(TemplateFault) -> TemplateValue {
        try charge(by.utf8.count)
        let length = text.utf8.count
        switch name {
        case "removeprefix":
            return .string(TemplateText.hasPrefix(text, by) ? TemplateText.bytes(text, by.utf8.count..<length) : text)
        case "removesuffix":
            return .string(
                TemplateText.hasSuffix(text, by) ? TemplateText.bytes(text, 0..<length - by.utf8.count) : text)
        default:
            guard !by.isEmpty else { throw fail("\(name)() needs a separator that is not empty") }
            let isLast = name == "rpartition"
            guard let place = isLast ? TemplateText.findLast(by, in: text) : TemplateText.find(by, in: text) else {
                return try tuple((isLast ? ["", "", text] : [text, "", ""]).map { .string($0) })
            }
            let parts = [
                TemplateText.bytes(text, 0..<place), by, TemplateText.bytes(text, place + by.utf8.count..<length),
            ]
            return try tuple(parts.map { .string($0) })
        }
    }

    func pad(_ name: String, _ text: String, _ width: Int, _ fill: String) throws(TemplateFault) -> TemplateValue {
        guard TemplateText.count(fill) == 1 else { throw fail("\(name)() fills with exactly one character") }
        let count = TemplateText.count(text)
        guard width > count else { return .string(text) }
        try reserve(bytes: min(width, limits.outputBytes + 1) + text.utf8.count)
        let gap = width - count
        var (left, right) = (0, 0)
        switch name {
        case "ljust": right = gap
        case "rjust", "zfill": left = gap
        default:
            // Python puts the odd one to the left only when both gap and width are odd.
            left = gap / 2 + (gap & width & 1)
            right = gap - left
        }
        let signs =
            name == "zfill" && (text.utf8.first == UInt8(ascii: "-") || text.utf8.first == UInt8(ascii: "+")) ? 1 : 0
        let sign = TemplateText.bytes(text, 0..<signs)
        return try string(
            sign + String(repeating: fill, count: left) + TemplateText.bytes(text, signs..<text.utf8.count)
                + String(repeating: fill, count: right))
    }
}
