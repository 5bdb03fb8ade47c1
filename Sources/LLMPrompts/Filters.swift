// The filters behind `|`: which there are, and those on single values. Follows jinja2/filters.py 3.1, with `tojson` as
// transformers replaces it.
import OrderedCollections

enum Filter: String {
    case abs, attr, batch, capitalize, center, count, d, `default`, dictsort, e, escape, first, float, forceescape
    case format, groupby, indent, int, items, join, last, length, list, lower, map, max, min, reject, rejectattr
    case replace, reverse, round, safe, select, selectattr, slice, sort, string, sum, title, tojson, trim, truncate
    case unique, upper, wordcount
}

extension Interpreter {
    func filter(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        guard let filter = Filter(rawValue: name) else { throw fail("there is no filter '\(name.prefix(40))'") }
        try enter()
        defer { leave() }
        if let text = value.text { try charge(text.utf8.count) }
        switch filter {
        case .map, .select, .selectattr, .reject, .rejectattr: return try filterEach(filter, value, arguments)
        case .batch, .dictsort, .first, .groupby, .items, .join, .last, .list, .max, .min, .reverse, .slice, .sort,
            .sum,
            .unique:
            return try filterSequence(filter, value, arguments)
        case .capitalize, .center, .escape, .e, .forceescape, .format, .indent, .lower, .replace, .safe, .string,
            .title, .trim, .truncate, .upper, .wordcount:
            return try filterText(filter, value, arguments)
        case .abs, .float, .int, .round: return try filterNumber(filter, value, arguments)
        case .count, .length:
            _ = try bind(arguments, of: name, to: [])
            return .integer(try length(value))
        case .attr:
            let bound = try bind(arguments, of: name, to: ["name"], required: 1)
            let attribute = try text(bound[0], default: "", of: name)
            // Unlike `value.name` this never takes an element.
            if case .dictionary = value, !Methods.exist(attribute, on: value) {
                return .undefined("dict has no attribute '\(attribute.prefix(64))'")
            }
            return try self.attribute(attribute, of: value)
        case .default, .d:
            let bound = try bind(arguments, of: name, to: ["default_value", "boolean"])
            let applies = value.isUndefined || bound.isTrue(1) && !value.isTrue
            return applies ? bound[0] ?? .string("") : value
        case .tojson: return try tojson(value, arguments)
        }
    }

    func length(_ value: TemplateValue) throws(TemplateFault) -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text), .markup(let text): return TemplateText.count(text)
        case .list(let list), .tuple(let list): return list.elements.count
        case .dictionary(let dictionary): return dictionary.entries.count
        case .view(let view): return view.elements.count
        case .range(let range): return range.count
        case .loop(let loop): return loop.items.count
        default: throw fail("a \(value.typeName) has no length")
        }
    }

    private func tojson(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: "tojson", to: ["ensure_ascii", "indent", "separators", "sort_keys"])
        var options = JSONOptions()
        options.isASCIIOnly = bound.isTrue(0)
        options.sortsKeys = bound.isTrue(3)
        if let indentation = bound.given(1) {
            if let text = indentation.text {
                options.indentation = text
            } else {
                let width = max(0, try integer(indentation, default: 0, of: "tojson"))
                try reserve(bytes: width)
                options.indentation = String(repeating: " ", count: width)
            }
            options.itemSeparator = ","
        }
        if let separators = bound.given(2) {
            let parts = try elements(of: separators)
            guard parts.count == 2 else { throw fail("tojson needs two separators") }
            options.itemSeparator = try text(parts[0], default: "", of: "tojson")
            options.keySeparator = try text(parts[1], default: "", of: "tojson")
        }
        return .string(try json(value, options))
    }

    // MARK: Text

    /// A marked string stays marked, all else becomes text.
    private func filterText(
        _ filter: Filter, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        let name = filter.rawValue
        let text = try self.text(value)
        var isMarked = false
        if case .markup = value { isMarked = true }
        func result(_ text: String) throws(TemplateFault) -> TemplateValue {
            try reserve(bytes: text.utf8.count)
            return isMarked ? .markup(text) : .string(text)
        }
        switch filter {
        case .center:
            let bound = try bind(arguments, of: name, to: ["width"])
            return try pad(name, text, try integer(bound[0], default: 80, of: name), " ")
        case .format:
            guard arguments.positional.isEmpty || arguments.keywords.isEmpty else {
                throw fail("format takes positional arguments or keyword arguments, not both")
            }
            return try result(try text.percent(try formatArguments(arguments), escapes: isMarked, self))
        case .indent: return try indent(text, isMarked, value, arguments)
        case .replace:
            let bound = try bind(arguments, of: name, to: ["old", "new", "count"], required: 2)
            let limit = try integer(bound.given(2), default: -1, of: name)
            return try replace(
                text, try self.text(bound[0] ?? .none), try self.text(bound[1] ?? .none), limit: limit)
        case .trim:
            let bound = try bind(arguments, of: name, to: ["chars"])
            let characters = try bound.given(0).map { value throws(TemplateFault) in
                try self.text(value, default: "", of: name)
            }
            return try result(TemplateText.strip(text, characters: characters))
        case .truncate: return try truncate(value, arguments)
        default: _ = try bind(arguments, of: name, to: [])
        }
        switch filter {
        case .safe: return .markup(text)
        case .escape, .e: return isMarked ? value : .markup(try escaped(text))
        case .forceescape: return .markup(try escaped(text))
        case .capitalize: return try result(TemplateText.capitalize(text))
        case .lower: return try result(TemplateText.lower(text))
        case .title: return try result(TemplateText.titleWords(text))
        case .upper: return try result(TemplateText.upper(text))
        case .wordcount:
            let words = text.unicodeScalars.split { !TemplateText.isAlphanumeric($0) && $0 != "_" }
            return .integer(words.count)
        default: return try result(text)
        }
    }

    private func formatArguments(_ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        if arguments.keywords.isEmpty { return try tuple(arguments.positional) }
        var entries: OrderedDictionary<TemplateKey, TemplateValue> = [:]
        for keyword in arguments.keywords { entries[TemplateKey(keyword.name)] = keyword.value }
        return try dictionary(entries)
    }

    private func indent(
        _ text: String, _ isMarked: Bool, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        guard value.text != nil else { throw fail("indent needs a str, not \(value.typeName)") }
        let bound = try bind(arguments, of: "indent", to: ["width", "first", "blank"])
        var indentation: String
        if let text = bound[0]?.text {
            indentation = isMarked ? try escaped(text) : text
        } else {
            let width = max(0, try integer(bound[0], default: 4, of: "indent"))
            try reserve(bytes: width)
            indentation = String(repeating: " ", count: width)
        }
        let lines = TemplateText.lines(text + "\n", keepEnds: false)
        let (added, overflow) = lines.count.multipliedReportingOverflow(by: indentation.utf8.count)
        try reserve(bytes: overflow ? .max : added + text.utf8.count)
        var result = bound.isTrue(1) ? indentation : ""
        for (index, line) in lines.enumerated() {
            if index > 0 {
                result += "\n"
                if bound.isTrue(2) || !line.isEmpty { result += indentation }
            }
            result += line
        }
        return isMarked ? .markup(result) : .string(result)
    }

    private func truncate(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue
    {
        guard let text = value.text else { throw fail("truncate needs a str, not \(value.typeName)") }
        let bound = try bind(arguments, of: "truncate", to: ["length", "killwords", "end", "leeway"])
        let length = try integer(bound[0], default: 255, of: "truncate")
        let end = try self.text(bound[2], default: "...", of: "truncate")
        let leeway = try integer(bound.given(3), default: 5, of: "truncate")
        let endLength = TemplateText.count(end)
        guard length >= endLength, leeway >= 0 else { throw fail("truncate needs a length that holds its end") }
        let (longest, overflow) = length.addingReportingOverflow(leeway)
        let count = TemplateText.count(text)
        if overflow || count <= longest { return value }
        let cut = SliceIndices(start: 0, stop: length - endLength, step: 1, length: count)
        var start = TemplateText.scalars(text, cut)
        if !bound.isTrue(1) { start = TemplateText.splitFromEnd(start, " ", limit: 1)[0] }
        return .string(start + end)
    }
}
