// Attributes, elements, slices and iteration. `a.b` looks for a method first and then for an element, `a['b']` the other
// way round; both give an undefined value for what is not there (jinja2/sandbox.py, ImmutableSandboxedEnvironment).

extension Interpreter {
    @inline(never)
    func attribute(_ name: String, of value: TemplateValue) throws(TemplateFault) -> TemplateValue {
        if let builtIn = try builtInAttribute(name, of: value) { return builtIn }
        if case .dictionary(let dictionary) = value, let key = try key(.string(name)),
            let element = dictionary.entries[key]
        {
            return element
        }
        return missing(name, of: value)
    }

    @inline(never)
    func item(_ index: TemplateValue, of value: TemplateValue) throws(TemplateFault) -> TemplateValue {
        switch value {
        case .undefined(let reason): throw fail(reason)
        case .list(let list), .tuple(let list):
            if let place = position(index, list.elements.count) { return list.elements[place] }
        case .string(let text), .markup(let text):
            if index.index != nil {
                try charge(text.utf8.count)
                if let place = position(index, TemplateText.count(text)) {
                    let scalar = TemplateText.scalars(
                        text, SliceIndices(start: place, stop: place + 1, step: 1, length: place + 1))
                    if case .markup = value { return .markup(scalar) }
                    return .string(scalar)
                }
            }
        case .range(let range):
            if let place = position(index, range.count) { return .integer(range[place]) }
        case .dictionary(let dictionary):
            if let key = try key(index), let element = dictionary.entries[key] { return element }
        default: break
        }
        if let name = index.text {
            return try builtInAttribute(name, of: value) ?? missing(name, of: value)
        }
        return .undefined("\(value.typeName) has no such element")
    }

    /// An index into a sequence, counted from the end when negative.
    private func position(_ index: TemplateValue, _ count: Int) -> Int? {
        guard let index = index.index else { return nil }
        let place = index < 0 && index >= -count ? index + count : index
        return (0..<count).contains(place) ? place : nil
    }

    private func missing(_ name: String, of value: TemplateValue) -> TemplateValue {
        .undefined("\(value.typeName) has no attribute '\(name.prefix(64))'")
    }

    /// Attributes that a type has of itself. What would change a list or dictionary is there but undefined, even over an
    /// element of that name.
    private func builtInAttribute(_ name: String, of value: TemplateValue) throws(TemplateFault) -> TemplateValue? {
        switch value {
        case .undefined(let reason): throw fail(reason)
        case .namespace(let namespace): return namespace.attributes[TemplateKey(name)]
        case .loop(let loop): return attribute(name, of: loop)
        case .range(let range):
            switch name {
            case "start": return .integer(range.start)
            case "step": return .integer(range.step)
            default: break
            }
        case .tuple(let list):
            if let place = list.fields.firstIndex(of: name) { return list.elements[place] }
        case .list where Methods.listMutators.contains(name),
            .dictionary where Methods.dictionaryMutators.contains(name):
            return missing(name, of: value)
        case .callable(let callable):
            if case .macro(let macro) = callable.kind, name == "name" { return .string(macro.node.name) }
        default: break
        }
        guard Methods.exist(name, on: value) else { return nil }
        guard value.depth < limits.valueDepth else { throw fail("the values are nested too deeply") }
        return .callable(TemplateCallable(.method(name, of: value)))
    }

    private func attribute(_ name: String, of loop: TemplateLoop) -> TemplateValue? {
        let count = loop.items.count
        switch name {
        case "index": return .integer(loop.index + 1)
        case "index0": return .integer(loop.index)
        case "revindex": return .integer(count - loop.index)
        case "revindex0": return .integer(count - loop.index - 1)
        case "first": return .boolean(loop.index == 0)
        case "last": return .boolean(loop.index == count - 1)
        case "length": return .integer(count)
        case "depth": return .integer(1)
        case "depth0": return .integer(0)
        case "previtem":
            return loop.index > 0 ? loop.items[loop.index - 1] : .undefined("there is no previous item")
        case "nextitem":
            return loop.index + 1 < count ? loop.items[loop.index + 1] : .undefined("there is no next item")
        case "cycle", "changed": return .callable(TemplateCallable(.method(name, of: .loop(loop))))
        default: return nil
        }
    }

    // MARK: Slices

    /// `bounds` are start, stop and step, nil where left out.
    func slice(_ value: TemplateValue, _ bounds: [TemplateValue?]) throws(TemplateFault) -> TemplateValue {
        if case .undefined(let reason) = value { throw fail(reason) }
        var numbers: [Int?] = []
        for bound in bounds {
            switch bound {
            case nil, .some(.none): numbers.append(nil)
            case .some(let bound):
                guard let number = bound.index else { throw fail("a slice needs integers, not \(bound.typeName)") }
                numbers.append(number)
            }
        }
        func indices(_ length: Int) throws(TemplateFault) -> SliceIndices {
            guard numbers[2] != 0 else { throw fail("the step of a slice cannot be zero") }
            return SliceIndices(start: numbers[0], stop: numbers[1], step: numbers[2] ?? 1, length: length)
        }
        switch value {
        case .string(let text), .markup(let text):
            try charge(text.utf8.count)
            let part = TemplateText.scalars(text, try indices(TemplateText.count(text)))
            if case .markup = value { return .markup(part) }
            return .string(part)
        case .list(let list), .tuple(let list):
            let indices = try indices(list.elements.count)
            let elements = (0..<indices.count).map { list.elements[indices[$0]] }
            if case .tuple = value { return try tuple(elements) }
            return try self.list(elements)
        case .range(let range):
            let indices = try indices(range.count)
            // Only ends that are never reached, and steps that are never taken, can overflow.
            return .range(
                TemplateRange(
                    start: range.start &+ indices.start &* range.step, stop: range.start &+ indices.stop &* range.step,
                    step: range.step &* indices.step, count: indices.count))
        default: throw fail("a \(value.typeName) cannot be sliced")
        }
    }

    // MARK: Iteration

    /// The elements that a loop over the value sees.
    func elements(of value: TemplateValue) throws(TemplateFault) -> [TemplateValue] {
        let elements: [TemplateValue]
        switch value {
        case .undefined: return []
        case .list(let list), .tuple(let list): elements = list.elements
        case .dictionary(let dictionary): elements = dictionary.entries.keys.map(\.value)
        case .view(let view): elements = view.elements
        case .iterator(let iterator): elements = iterator.takeAll()
        case .range(let range): elements = (0..<range.count).map { .integer(range[$0]) }
        case .string(let text), .markup(let text):
            try charge(elements: text.utf8.count)
            elements = text.unicodeScalars.map { .string(String($0)) }
        default: throw fail("a \(value.typeName) cannot be iterated over")
        }
        try charge(elements: elements.count)
        return elements
    }
}
