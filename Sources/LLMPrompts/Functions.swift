// Calls, and the functions that every template finds.
import OrderedCollections

enum TemplateFunction: String, Sendable, CaseIterable {
    case range
    case dict
    case namespace
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
}

extension Interpreter {
    func call(_ function: TemplateValue, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        if case .undefined(let reason) = function { throw fail(reason) }
        guard case .callable(let callable) = function else { throw fail("a \(function.typeName) cannot be called") }
        try enter()
        defer { leave() }
        switch callable.kind {
        case .function(let function): return try call(function, arguments)
        case .method(let name, let receiver): return try callMethod(name, receiver, arguments)
        case .macro(let macro):
            // A macro is deep in stack.
            try enter()
            defer { leave() }
            return try call(macro, arguments)
        }
    }

    @inline(never)
    private func call(
        _ function: TemplateFunction, _ arguments: TemplateArguments
    ) throws(TemplateFault) -> TemplateValue {
        switch function {
        case .range: return try range(arguments)
        case .dict: return try dictionary(try entries(arguments, of: "dict()"))
        case .namespace:
            let attributes = try entries(arguments, of: "namespace()")
            for key in attributes.keys { if let name = key.value.text { try checkAttribute(name) } }
            return namespace(attributes)
        case .raiseException:
            let bound = try bind(arguments, of: "raise_exception()", to: ["message"], required: 1)
            throw TemplateFault(.raised, try text(bound[0] ?? .none), place)
        case .strftimeNow:
            let bound = try bind(arguments, of: "strftime_now()", to: ["format"], required: 1)
            let format = try text(bound[0], default: "", of: "strftime_now()")
            try charge(format.utf8.count)
            guard let text = now.formatted(format) else { throw fail("strftime_now() cannot use this format") }
            return try string(text)
        }
    }

    private func range(_ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let bound = try bind(arguments, of: "range()", to: ["start", "stop", "step"], required: 1, positionalOnly: 3)
        let first = try integer(bound[0], default: 0, of: "range()")
        let start = bound[1] == nil ? 0 : first
        let stop = try integer(bound[1], default: first, of: "range()")
        let step = try integer(bound[2], default: 1, of: "range()")
        guard step != 0 else { throw fail("the step of range() cannot be zero") }
        var count = 0
        if step > 0 ? stop > start : stop < start {
            // The distance of two integers always fits an unsigned one.
            let distance = step > 0 ? UInt(bitPattern: stop &- start) : UInt(bitPattern: start &- stop)
            let steps = (distance - 1) / step.magnitude
            guard steps < UInt(limits.rangeCount) else {
                throw TemplateFault(.limit, "range() of more than \(limits.rangeCount) elements", place)
            }
            count = Int(steps) + 1
        }
        return .range(TemplateRange(start: start, stop: stop, step: step, count: count))
    }

    /// The arguments of Python's `dict()`: a dictionary or pairs, and keywords.
    private func entries(
        _ arguments: TemplateArguments, of function: String
    ) throws(TemplateFault) -> OrderedDictionary<TemplateKey, TemplateValue> {
        guard arguments.positional.count <= 1 else { throw fail("\(function) takes not more than 1 argument") }
        var entries: OrderedDictionary<TemplateKey, TemplateValue> = [:]
        switch arguments.positional.first {
        case nil: break
        case .dictionary(let dictionary):
            try charge(elements: dictionary.entries.count)
            entries = dictionary.entries
        case .some(let pairs):
            for pair in try elements(of: pairs) {
                let pair = try elements(of: pair)
                guard pair.count == 2, let key = try key(pair[0]) else { throw fail("\(function) needs pairs") }
                entries[key] = pair[1]
            }
        }
        for keyword in arguments.keywords { entries[TemplateKey(keyword.name)] = keyword.value }
        return entries
    }
}
