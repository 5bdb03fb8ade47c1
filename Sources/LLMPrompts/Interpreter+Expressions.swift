// Evaluates expressions. Each kind has a function of its own that is not inlined: the stack frames of the recursion stay
// small, so that `TemplateLimits.recursion` fits any thread's stack.
import OrderedCollections

extension Interpreter {
    func evaluate(_ expression: Expression) throws(TemplateFault) -> TemplateValue {
        switch expression {
        case .literal(let literal): return value(of: literal)
        case .name(let name, let place): return try variable(name, place)
        default: break
        }
        try enter()
        defer { leave() }
        switch expression {
        case .literal, .name: return .none
        case .list(let items, let place): return try list(items, place)
        case .tuple(let items, let place): return try tuple(items, place)
        case .dictionary(let items, let place): return try dictionary(items, place)
        case .chain(let base, let steps): return try chain(try evaluate(base), steps[...])
        case .negative(let operand, let place): return try negative(operand, place)
        case .positive(let operand, let place): return try positive(operand, place)
        case .not(let operand): return .boolean(!(try evaluate(operand).isTrue))
        case .all(let operands): return try first(operands, thatIs: false)
        case .any(let operands): return try first(operands, thatIs: true)
        case .arithmetic(let first, let steps): return try arithmetic(first, steps)
        case .comparison(let first, let steps): return try comparison(first, steps)
        case .concatenation(let operands, let place): return try concatenation(operands, place)
        case .choice(let test, let then, let otherwise): return try choice(test, then, otherwise)
        }
    }

    private func value(of literal: Literal) -> TemplateValue {
        switch literal {
        case .none: .none
        case .boolean(let value): .boolean(value)
        case .integer(let value): .integer(value)
        case .float(let value): .float(value)
        case .string(let text): .string(text)
        }
    }

    @inline(never)
    private func variable(_ name: Int, _ place: Int) throws(TemplateFault) -> TemplateValue {
        self.place = place
        try charge(TemplateLimits.nodeWork)
        return scope[name] ?? .undefined("'\(program.names[name])' is undefined")
    }

    func evaluate(_ expressions: [Expression]) throws(TemplateFault) -> [TemplateValue] {
        var values: [TemplateValue] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    @inline(never)
    private func list(_ items: [Expression], _ place: Int) throws(TemplateFault) -> TemplateValue {
        let values = try evaluate(items)
        self.place = place
        return try list(values)
    }

    @inline(never)
    private func tuple(_ items: [Expression], _ place: Int) throws(TemplateFault) -> TemplateValue {
        let values = try evaluate(items)
        self.place = place
        return try tuple(values)
    }

    @inline(never)
    private func dictionary(
        _ items: [(key: Expression, value: Expression)], _ place: Int
    ) throws(TemplateFault) -> TemplateValue {
        var entries: OrderedDictionary<TemplateKey, TemplateValue> = [:]
        for item in items {
            let key = try evaluate(item.key)
            self.place = place
            guard let key = try self.key(key) else { throw fail("a \(key.typeName) cannot be a key") }
            entries[key] = try evaluate(item.value)
        }
        self.place = place
        return try dictionary(entries)
    }

    @inline(never)
    private func first(_ operands: [Expression], thatIs truth: Bool) throws(TemplateFault) -> TemplateValue {
        var value = TemplateValue.none
        for operand in operands {
            value = try evaluate(operand)
            if value.isTrue == truth { break }
        }
        return value
    }

    @inline(never)
    private func choice(
        _ test: Expression, _ then: Expression, _ otherwise: Expression?
    ) throws(TemplateFault) -> TemplateValue {
        if try evaluate(test).isTrue { return try evaluate(then) }
        guard let otherwise else {
            return .undefined("the inline if-expression was false and has no else part")
        }
        return try evaluate(otherwise)
    }

    @inline(never)
    private func arithmetic(
        _ first: Expression, _ steps: [(op: ArithmeticOperator, operand: Expression, place: Int)]
    ) throws(TemplateFault) -> TemplateValue {
        var value = try evaluate(first)
        for step in steps {
            let operand = try evaluate(step.operand)
            place = step.place
            value = try combine(value, step.op, operand)
        }
        return value
    }

    @inline(never)
    private func comparison(
        _ first: Expression, _ steps: [(op: ComparisonOperator, operand: Expression, place: Int)]
    ) throws(TemplateFault) -> TemplateValue {
        var left = try evaluate(first)
        for step in steps {
            let right = try evaluate(step.operand)
            place = step.place
            guard try compare(left, step.op, right) else { return .boolean(false) }
            left = right
        }
        return .boolean(true)
    }

    @inline(never)
    private func concatenation(_ operands: [Expression], _ place: Int) throws(TemplateFault) -> TemplateValue {
        var result = ""
        for operand in operands {
            let value = try evaluate(operand)
            self.place = place
            let part = try text(value)
            try reserve(bytes: result.utf8.count + part.utf8.count)
            result += part
        }
        return .string(result)
    }

    // MARK: Postfixes

    @inline(never)
    func chain(_ base: TemplateValue, _ steps: ArraySlice<Postfix>) throws(TemplateFault) -> TemplateValue {
        var value = base
        for step in steps {
            try charge(TemplateLimits.nodeWork)
            value = try apply(step, to: value)
        }
        return value
    }

    func apply(_ filters: [Postfix], to value: TemplateValue) throws(TemplateFault) -> TemplateValue {
        try chain(value, filters[...])
    }

    @inline(never)
    private func apply(_ step: Postfix, to value: TemplateValue) throws(TemplateFault) -> TemplateValue {
        switch step.kind {
        case .attribute(let name):
            place = step.place
            return try attribute(name, of: value)
        case .item(let index): return try item(index, of: value, step.place)
        case .slice(let start, let stop, let stride): return try slice(value, start, stop, stride, step.place)
        case .call(let nodes): return try call(value, nodes, step.place)
        case .filter(let name, let nodes): return try filter(name, value, nodes, step.place)
        case .test(let name, let nodes, let isNegated):
            return .boolean(try test(name, value, nodes, step.place) != isNegated)
        }
    }

    @inline(never)
    private func item(
        _ index: Expression, of value: TemplateValue, _ place: Int
    ) throws(TemplateFault) -> TemplateValue {
        let index = try evaluate(index)
        self.place = place
        return try item(index, of: value)
    }

    @inline(never)
    private func call(
        _ function: TemplateValue, _ nodes: ArgumentNodes, _ place: Int
    ) throws(TemplateFault) -> TemplateValue {
        let arguments = try evaluate(nodes)
        self.place = place
        return try call(function, arguments)
    }

    @inline(never)
    private func filter(
        _ name: String, _ value: TemplateValue, _ nodes: ArgumentNodes, _ place: Int
    ) throws(TemplateFault) -> TemplateValue {
        let arguments = try evaluate(nodes)
        self.place = place
        return try filter(name, value, arguments)
    }

    @inline(never)
    private func test(
        _ name: String, _ value: TemplateValue, _ nodes: ArgumentNodes, _ place: Int
    ) throws(TemplateFault) -> Bool {
        let arguments = try evaluate(nodes)
        self.place = place
        return try test(name, value, arguments)
    }

    func evaluate(_ nodes: ArgumentNodes) throws(TemplateFault) -> TemplateArguments {
        var arguments = TemplateArguments()
        arguments.positional = try evaluate(nodes.positional)
        for keyword in nodes.keywords { arguments.keywords.append((keyword.name, try evaluate(keyword.value))) }
        if let list = nodes.unpackedList { arguments.positional += try elements(of: try evaluate(list)) }
        if let expression = nodes.unpackedDictionary {
            guard case .dictionary(let dictionary) = try evaluate(expression) else {
                throw fail("only a dict can be unpacked with '**'")
            }
            try charge(elements: dictionary.entries.count)
            let given = Set(nodes.keywords.map(\.name))
            for (key, value) in dictionary.entries {
                guard let name = key.value.text else { throw fail("keywords must be strings") }
                guard !given.contains(name) else {
                    throw fail("the keyword '\(name.prefix(40))' is given twice")
                }
                arguments.keywords.append((name, value))
            }
        }
        return arguments
    }

    @inline(never)
    private func slice(
        _ value: TemplateValue, _ start: Expression?, _ stop: Expression?, _ stride: Expression?, _ place: Int
    ) throws(TemplateFault) -> TemplateValue {
        let bounds = [
            try start.map { expression throws(TemplateFault) in try evaluate(expression) },
            try stop.map { expression throws(TemplateFault) in try evaluate(expression) },
            try stride.map { expression throws(TemplateFault) in try evaluate(expression) },
        ]
        self.place = place
        return try slice(value, bounds)
    }
}
