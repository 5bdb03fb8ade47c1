// Filters on sequences. Those that are generators in Jinja2 give an iterator, which is read once; they are computed at
// once here, which only shows where an element fails that nobody would have read.
import OrderedCollections

extension Interpreter {
    func filterSequence(
        _ filter: Filter, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        let name = filter.rawValue
        switch filter {
        case .batch, .slice: return try batches(filter, value, arguments)
        case .dictsort: return try dictsort(value, arguments)
        case .groupby: return try groupby(value, arguments)
        case .max, .min: return try extreme(filter, value, arguments)
        case .sort: return try sort(value, arguments)
        case .sum: return try sum(value, arguments)
        case .unique: return try unique(value, arguments)
        case .join:
            let bound = try bind(arguments, of: name, to: ["d", "attribute"])
            var elements = try elements(of: value)
            if let attribute = bound.given(1) {
                let path = path(attribute)
                elements = try elements.map { element throws(TemplateFault) in try follow(path, from: element) }
            }
            return try join(
                elements, with: try bound[0].map { value throws(TemplateFault) in try text(value) } ?? "",
                stringsOnly: false)
        default: _ = try bind(arguments, of: name, to: [])
        }
        switch filter {
        case .first:
            if case .iterator(let iterator) = value { return iterator.next() ?? .undefined("there is no first item") }
            return try elements(of: value).first ?? .undefined("there is no first item")
        case .last:
            if case .iterator = value { throw fail("a generator has no last item") }
            return try elements(of: value).last ?? .undefined("there is no last item")
        case .items:
            if value.isUndefined { return try iterator([]) }
            guard case .dictionary(let dictionary) = value else { throw fail("items needs a dict") }
            return try iterator(try pairs(dictionary))
        case .reverse:
            if value.text != nil { return try slice(value, [nil, nil, .integer(-1)]) }
            let reversed = Array(try elements(of: value).reversed())
            if case .iterator = value { return try list(reversed) }
            return try iterator(reversed)
        default: return try list(try elements(of: value))
        }
    }

    // MARK: map, select, reject

    func filterEach(
        _ filter: Filter, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        guard value.isTrue else { return try iterator([]) }
        // Filters of filters are deep in stack.
        try enter()
        defer { leave() }
        if filter == .map { return try map(value, arguments) }
        var arguments = arguments
        var path: [TemplateValue] = []
        if filter == .selectattr || filter == .rejectattr {
            guard !arguments.positional.isEmpty else { throw fail("\(filter.rawValue) needs the name of an attribute") }
            path = self.path(arguments.positional.removeFirst())
        }
        let test = arguments.positional.isEmpty ? nil : arguments.positional.removeFirst()
        let wanted = filter == .select || filter == .selectattr
        var kept: [TemplateValue] = []
        for element in try elements(of: value) {
            let tested = try follow(path, from: element)
            var isTrue = tested.isTrue
            if let test { isTrue = try self.test(try name(test, of: "a test"), tested, arguments) }
            if isTrue == wanted { kept.append(element) }
        }
        return try iterator(kept)
    }

    private func map(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        var arguments = arguments
        var mapped: [TemplateValue] = []
        if arguments.positional.isEmpty, arguments.keywords.contains(where: { $0.name == "attribute" }) {
            let bound = try bind(arguments, of: "map", to: ["attribute", "default"])
            let path = path(bound[0] ?? .none)
            for element in try elements(of: value) {
                mapped.append(try follow(path, from: element, default: bound.given(1)))
            }
        } else {
            guard !arguments.positional.isEmpty else { throw fail("map needs a filter or an attribute") }
            let name = try name(arguments.positional.removeFirst(), of: "a filter")
            for element in try elements(of: value) { mapped.append(try filter(name, element, arguments)) }
        }
        return try iterator(mapped)
    }

    private func name(_ value: TemplateValue, of kind: String) throws(TemplateFault) -> String {
        guard let name = value.text else { throw fail("the name of \(kind) must be a str") }
        return name
    }

    // MARK: Attributes of elements

    /// `a.b.0` as steps; a number stays one step, None is no step at all.
    private func path(_ attribute: TemplateValue) -> [TemplateValue] {
        if case .none = attribute { return [] }
        guard let text = attribute.text else { return [attribute] }
        return TemplateText.split(text, ".", limit: -1).map { part in
            if TemplateText.test("isdigit", part), let index = Int(part) { return .integer(index) }
            return .string(part)
        }
    }

    private func follow(
        _ path: [TemplateValue], from element: TemplateValue, default standard: TemplateValue? = nil
    ) throws(TemplateFault) -> TemplateValue {
        var value = element
        for step in path {
            try charge(elements: 1)
            value = try item(step, of: value)
            if let standard, value.isUndefined { value = standard }
        }
        return value
    }

    /// What sorting and comparing go by: text in lower case unless case matters.
    private func sortKey(
        _ element: TemplateValue, _ path: [TemplateValue], caseSensitive: Bool
    ) throws(TemplateFault) -> TemplateValue {
        let value = try follow(path, from: element)
        guard !caseSensitive, let text = value.text else { return value }
        try charge(text.utf8.count)
        return .string(TemplateText.lower(text))
    }

    // MARK: Order

    /// Stable, as Python's sort is. The key may be compared often, so it is computed once per element.
    func sorted<Element>(
        _ elements: [Element], by key: (Element) throws(TemplateFault) -> TemplateValue, descending: Bool = false
    ) throws(TemplateFault) -> [Element] {
        var items: [(key: TemplateValue, element: Element)] = []
        for element in elements { items.append((try key(element), element)) }
        var width = 1
        while width < items.count {
            var merged: [(key: TemplateValue, element: Element)] = []
            merged.reserveCapacity(items.count)
            for start in stride(from: 0, to: items.count, by: 2 * width) {
                var left = start
                let middle = min(start + width, items.count)
                var right = middle
                let end = min(start + 2 * width, items.count)
                while left < middle, right < end {
                    try charge(elements: 1)
                    let takesRight =
                        descending
                        ? try compare(items[left].key, .less, items[right].key)
                        : try compare(items[right].key, .less, items[left].key)
                    merged.append(items[takesRight ? right : left])
                    if takesRight { right += 1 } else { left += 1 }
                }
                merged += items[left..<middle]
                merged += items[right..<end]
            }
            items = merged
            width *= 2
        }
        return items.map(\.element)
    }

    private func sort(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: "sort", to: ["reverse", "case_sensitive", "attribute"])
        var paths: [[TemplateValue]] = [path(bound[2] ?? .none)]
        if let text = bound[2]?.text { paths = TemplateText.split(text, ",", limit: -1).map { path(.string($0)) } }
        let elements = try elements(of: value)
        let caseSensitive = bound.isTrue(1)
        return try list(
            try sorted(
                elements,
                by: { element throws(TemplateFault) in
                    try list(
                        try paths.map { path throws(TemplateFault) in
                            try sortKey(element, path, caseSensitive: caseSensitive)
                        })
                }, descending: bound.isTrue(0)))
    }

    private func dictsort(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue
    {
        let bound = try bind(arguments, of: "dictsort", to: ["case_sensitive", "by", "reverse"])
        let by = try text(bound[1], default: "key", of: "dictsort")
        guard by == "key" || by == "value" else { throw fail("dictsort sorts by 'key' or 'value'") }
        if case .undefined(let reason) = value { throw fail(reason) }
        guard case .dictionary(let dictionary) = value else { throw fail("dictsort needs a dict") }
        let path: [TemplateValue] = [.integer(by == "key" ? 0 : 1)]
        let caseSensitive = bound.isTrue(0)
        return try list(
            try sorted(
                try pairs(dictionary),
                by: { pair throws(TemplateFault) in try sortKey(pair, path, caseSensitive: caseSensitive) },
                descending: bound.isTrue(2)))
    }

    private func extreme(
        _ filter: Filter, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: filter.rawValue, to: ["case_sensitive", "attribute"])
        let path = path(bound[1] ?? .none)
        var best: (key: TemplateValue, element: TemplateValue)?
        for element in try elements(of: value) {
            let key = try sortKey(element, path, caseSensitive: bound.isTrue(0))
            if let best, try !compare(key, filter == .max ? .greater : .less, best.key) { continue }
            best = (key, element)
        }
        return best?.element ?? .undefined("the sequence is empty")
    }

    private func unique(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: "unique", to: ["case_sensitive", "attribute"])
        let path = path(bound[1] ?? .none)
        var seen: Set<TemplateKey> = []
        var kept: [TemplateValue] = []
        for element in try elements(of: value) {
            let wanted = try sortKey(element, path, caseSensitive: bound.isTrue(0))
            guard let key = try key(wanted) else { throw fail("a \(wanted.typeName) cannot be hashed") }
            if seen.insert(key).inserted { kept.append(element) }
        }
        return try iterator(kept)
    }

    private func groupby(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue
    {
        let bound = try bind(
            arguments, of: "groupby", to: ["attribute", "default", "case_sensitive"], required: 1)
        let path = path(bound[0] ?? .none)
        let caseSensitive = bound.isTrue(2)
        func key(_ element: TemplateValue) throws(TemplateFault) -> TemplateValue {
            let found = try follow(path, from: element, default: bound.given(1))
            return try sortKey(found, [], caseSensitive: caseSensitive)
        }
        var groups: [(key: TemplateValue, elements: [TemplateValue])] = []
        for element in try sorted(try elements(of: value), by: key) {
            let key = try key(element)
            if let last = groups.last, try equal(last.key, key) {
                groups[groups.count - 1].elements.append(element)
            } else {
                groups.append((key, [element]))
            }
        }
        return try list(
            try groups.map { group throws(TemplateFault) in
                let name = try follow(path, from: group.elements[0], default: bound.given(1))
                return try tuple([name, try list(group.elements)], fields: ["grouper", "list"])
            })
    }

    // MARK: Rest

    private func sum(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: "sum", to: ["attribute", "start"])
        let path = path(bound[0] ?? .none)
        var total = bound[1] ?? .integer(0)
        guard total.text == nil else { throw fail("sum cannot add strs") }
        for element in try elements(of: value) { total = try combine(total, .add, try follow(path, from: element)) }
        return total
    }

    private func batches(
        _ filter: Filter, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: filter.rawValue, to: ["count", "fill_with"], required: 1)
        let count = try integer(bound[0], default: 1, of: filter.rawValue)
        let elements = try elements(of: value)
        guard count > 0 else { throw fail("\(filter.rawValue) needs a positive number") }
        try charge(elements: count)
        var parts: [TemplateValue] = []
        if filter == .batch {
            for start in stride(from: 0, to: elements.count, by: count) {
                var part = Array(elements[start..<min(start + count, elements.count)])
                if let filling = bound.given(1) { part += Array(repeating: filling, count: count - part.count) }
                parts.append(try list(part))
            }
        } else {
            let (size, extra) = elements.count.quotientAndRemainder(dividingBy: count)
            var start = 0
            for index in 0..<count {
                let end = start + size + (index < extra ? 1 : 0)
                var part = Array(elements[start..<end])
                if let filling = bound.given(1), index >= extra { part.append(filling) }
                parts.append(try list(part))
                start = end
            }
        }
        return try iterator(parts)
    }
}
