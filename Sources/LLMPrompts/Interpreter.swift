// Runs one rendering of a template: statements, scopes, output, and the account of what the rendering has cost.
import JSON
import OrderedCollections

final class Interpreter {
    enum Flow { case normal, breakLoop, continueLoop }

    let program: TemplateProgram
    let limits: TemplateLimits
    let now: TemplateTime
    /// Where the evaluation stands, for errors.
    var place = 0
    var scope: TemplateScope
    private(set) var output = ""
    /// Byte ranges of the output that `{% generation %}` blocks wrote.
    private(set) var generationRanges: [Range<Int>] = []
    private let loopName: Int?
    private var work = 0
    private var recursion = 0
    private var captures = 0
    // What can refer to itself in a circle; emptied at the end.
    private var namespaces: [TemplateNamespace] = []
    private var capturedScopes: [TemplateScope] = []
    private var changedLoops: [TemplateLoop] = []

    init(program: TemplateProgram, identifiers: [String: Int], limits: TemplateLimits, now: TemplateTime) {
        self.program = program
        self.limits = limits
        self.now = now
        loopName = identifiers["loop"]
        scope = TemplateScope(parent: nil)
    }

    /// Renders with the given variables, each under its id.
    func run(
        functions: [(Int, TemplateFunction)], variables: [(Int, JSONValue)]
    ) throws(TemplateFault) {
        defer { release() }
        for (name, function) in functions { scope[name] = .callable(TemplateCallable(.function(function))) }
        scope = TemplateScope(parent: scope)
        for (name, variable) in variables { scope[name] = try value(of: variable) }
        scope = TemplateScope(parent: scope)
        _ = try execute(program.body)
    }

    private func release() {
        for namespace in namespaces { namespace.attributes = [:] }
        for loop in changedLoops { loop.lastChanged = nil }
        for scope in capturedScopes { scope.removeAll() }
    }

    // MARK: Account

    func fail(_ reason: String) -> TemplateFault { TemplateFault(.evaluation, reason, place) }

    /// Charges work: bytes that are read or written, or `TemplateLimits.elementWork` per element.
    func charge(_ amount: Int) throws(TemplateFault) {
        // The limit is far below the range of Int, so one addition of a saturated amount cannot overflow.
        work += min(amount, limits.work)
        if work > limits.work { throw TemplateFault(.limit, "rendering takes too much work", place) }
    }

    func charge(elements count: Int) throws(TemplateFault) {
        try charge(min(count, limits.work) * TemplateLimits.elementWork)
    }

    /// Refuses a string before it is made.
    func reserve(bytes: Int) throws(TemplateFault) {
        guard bytes <= limits.outputBytes else {
            throw TemplateFault(.limit, "a text of more than \(limits.outputBytes) bytes", place)
        }
        try charge(bytes)
    }

    func enter() throws(TemplateFault) {
        guard recursion < limits.recursion else { throw TemplateFault(.limit, "the recursion is too deep", place) }
        recursion += 1
        try charge(TemplateLimits.nodeWork)
    }

    func leave() { recursion -= 1 }

    // MARK: Making values

    /// The depth of a container with these elements.
    func depth(over elements: some Sequence<TemplateValue>) throws(TemplateFault) -> Int {
        var depth = 0
        for element in elements { depth = max(depth, element.depth) }
        guard depth < limits.valueDepth else {
            throw TemplateFault(.limit, "more than \(limits.valueDepth) lists and dictionaries in one another", place)
        }
        return depth + 1
    }

    func list(_ elements: [TemplateValue]) throws(TemplateFault) -> TemplateValue {
        try charge(elements: elements.count)
        return .list(TemplateList(elements, depth: try depth(over: elements)))
    }

    func tuple(_ elements: [TemplateValue], fields: [String] = []) throws(TemplateFault) -> TemplateValue {
        try charge(elements: elements.count)
        return .tuple(TemplateList(elements, depth: try depth(over: elements), fields: fields))
    }

    func iterator(_ elements: [TemplateValue]) throws(TemplateFault) -> TemplateValue {
        try charge(elements: elements.count)
        return .iterator(TemplateIterator(elements, depth: try depth(over: elements)))
    }

    func dictionary(
        _ entries: OrderedDictionary<TemplateKey, TemplateValue>
    ) throws(TemplateFault) -> TemplateValue {
        try charge(elements: entries.count * 2)
        let keys = try depth(over: entries.keys.lazy.map(\.value))
        return .dictionary(TemplateDictionary(entries, depth: max(keys, try depth(over: entries.values))))
    }

    func namespace(_ attributes: OrderedDictionary<TemplateKey, TemplateValue>) -> TemplateValue {
        let namespace = TemplateNamespace(attributes)
        namespaces.append(namespace)
        return .namespace(namespace)
    }

    func keepChanged(_ values: [TemplateValue], of loop: TemplateLoop) {
        if loop.lastChanged == nil { changedLoops.append(loop) }
        loop.lastChanged = values
    }

    func macro(_ node: MacroNode) -> TemplateValue {
        capturedScopes.append(scope)
        return .callable(TemplateCallable(.macro(TemplateMacro(node: node, scope: scope))))
    }

    func string(_ text: String) throws(TemplateFault) -> TemplateValue {
        try reserve(bytes: text.utf8.count)
        return .string(text)
    }

    func strings(_ texts: [String]) throws(TemplateFault) -> TemplateValue {
        try list(texts.map { .string($0) })
    }

    func key(_ value: TemplateValue) throws(TemplateFault) -> TemplateKey? {
        if let text = value.text { try charge(text.utf8.count) }
        return TemplateKey(value)
    }

    private func value(of json: JSONValue, level: Int = 0) throws(TemplateFault) -> TemplateValue {
        guard level < limits.valueDepth else { throw TemplateFault(.limit, "the values are nested too deeply", place) }
        switch json {
        case .null: return .none
        case .bool(let value): return .boolean(value)
        case .integer(let value): return .integer(Int(value))
        case .number(let value): return .float(value)
        case .string(let text): return .string(text)
        case .array(let elements):
            var values: [TemplateValue] = []
            values.reserveCapacity(elements.count)
            for element in elements { values.append(try value(of: element, level: level + 1)) }
            return try list(values)
        case .object(let members):
            var entries = OrderedDictionary<TemplateKey, TemplateValue>(minimumCapacity: members.count)
            for (name, member) in members { entries[TemplateKey(name)] = try value(of: member, level: level + 1) }
            return try dictionary(entries)
        }
    }

    // MARK: Output

    func write(_ text: String) throws(TemplateFault) {
        try charge(text.utf8.count)
        guard output.utf8.count + text.utf8.count <= limits.outputBytes else {
            throw TemplateFault(.limit, "more than \(limits.outputBytes) bytes of output", place)
        }
        output += text
    }

    /// What the body writes, instead of writing it.
    @inline(never)
    func capture(_ body: [Statement]) throws(TemplateFault) -> (text: String, flow: Flow) {
        let outside = output
        output = ""
        captures += 1
        defer {
            output = outside
            captures -= 1
        }
        let flow = try execute(body)
        return (output, flow)
    }

    // MARK: Statements

    func execute(_ body: [Statement]) throws(TemplateFault) -> Flow {
        for statement in body {
            let flow = try execute(statement)
            if flow != .normal { return flow }
        }
        return .normal
    }

    private func execute(_ statement: Statement) throws(TemplateFault) -> Flow {
        try enter()
        defer { leave() }
        switch statement {
        case .text(let text): try write(text)
        case .output(let expression, let place): try output(expression, place)
        case .condition(let branches, let otherwise): return try condition(branches, otherwise)
        case .loop(let node): return try loop(node)
        case .set(let target, let expression): try assign(target, try evaluate(expression))
        case .setBlock(let target, let filters, let body): return try setBlock(target, filters, body)
        case .macro(let node): scope[node.id] = macro(node)
        case .call(let expression, let node): try call(expression, node)
        case .filter(let filters, let body): return try filter(filters, body)
        case .with(let assignments, let body): return try with(assignments, body)
        case .generation(let body): try generation(body)
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .normal
    }

    @inline(never)
    private func output(_ expression: Expression, _ place: Int) throws(TemplateFault) {
        let value = try evaluate(expression)
        self.place = place
        if let text = value.text { try write(text) } else { try write(try text(value)) }
    }

    @inline(never)
    private func condition(
        _ branches: [(test: Expression, body: [Statement])], _ otherwise: [Statement]
    ) throws(TemplateFault) -> Flow {
        for branch in branches where try evaluate(branch.test).isTrue { return try execute(branch.body) }
        return try execute(otherwise)
    }

    @inline(never)
    private func loop(_ node: LoopNode) throws(TemplateFault) -> Flow {
        let sequence = try evaluate(node.sequence)
        place = node.place
        var items = try elements(of: sequence)
        let outside = scope
        defer { scope = outside }
        if let filter = node.filter {
            var kept: [TemplateValue] = []
            for item in items {
                openScope(in: outside)
                try assign(node.target, item)
                if try evaluate(filter).isTrue { kept.append(item) }
            }
            items = kept
        }
        if items.isEmpty {
            openScope(in: outside)
            return try execute(node.otherwise)
        }
        place = node.place
        let loop = TemplateLoop(items, depth: try depth(over: items))
        for (index, item) in items.enumerated() {
            try charge(TemplateLimits.nodeWork)
            openScope(in: outside)
            loop.index = index
            if let loopName { scope[loopName] = .loop(loop) }
            place = node.place
            try assign(node.target, item)
            if try execute(node.body) == .breakLoop { break }
        }
        return .normal
    }

    /// A fresh scope; the current one is reused when it is already an inner one that nothing else holds.
    private func openScope(in outside: TemplateScope) {
        if scope !== outside, isKnownUniquelyReferenced(&scope) {
            scope.removeAll()
        } else {
            scope = TemplateScope(parent: outside)
        }
    }

    private func inner<Result>(
        _ body: () throws(TemplateFault) -> Result
    ) throws(TemplateFault) -> Result {
        let outside = scope
        scope = TemplateScope(parent: outside)
        defer { scope = outside }
        return try body()
    }

    @inline(never)
    private func setBlock(
        _ target: Target, _ filters: [Postfix], _ body: [Statement]
    ) throws(TemplateFault) -> Flow {
        let (text, flow) = try inner { () throws(TemplateFault) in try capture(body) }
        if flow != .normal { return flow }
        try assign(target, try apply(filters, to: .string(text)))
        return .normal
    }

    @inline(never)
    private func filter(_ filters: [Postfix], _ body: [Statement]) throws(TemplateFault) -> Flow {
        let (text, flow) = try inner { () throws(TemplateFault) in try capture(body) }
        if flow != .normal { return flow }
        try write(try self.text(try apply(filters, to: .string(text))))
        return .normal
    }

    @inline(never)
    private func with(
        _ assignments: [(Target, Expression)], _ body: [Statement]
    ) throws(TemplateFault) -> Flow {
        var values: [TemplateValue] = []
        for (_, expression) in assignments { values.append(try evaluate(expression)) }
        return try inner { () throws(TemplateFault) in
            for ((target, _), value) in zip(assignments, values) { try assign(target, value) }
            return try execute(body)
        }
    }

    @inline(never)
    private func generation(_ body: [Statement]) throws(TemplateFault) {
        let start = output.utf8.count
        _ = try inner { () throws(TemplateFault) in try execute(body) }
        if captures == 0 { generationRanges.append(start..<output.utf8.count) }
    }

    private func assign(_ target: Target, _ value: TemplateValue) throws(TemplateFault) {
        switch target {
        case .name(let name): scope[name] = value
        case .attribute(let object, let name, let place):
            self.place = place
            guard case .namespace(let namespace)? = scope[object] else {
                throw fail("'\(program.names[object])' is not a namespace, so it takes no attributes")
            }
            try checkAttribute(name)
            namespace.attributes[TemplateKey(name)] = value
        case .tuple(let targets, let place):
            self.place = place
            let values = try elements(of: value)
            guard values.count == targets.count else {
                throw fail("\(values.count) values cannot be unpacked into \(targets.count) names")
            }
            for (target, value) in zip(targets, values) { try assign(target, value) }
        }
    }

    /// Attributes of a namespace do not start with an underscore.
    func checkAttribute(_ name: String) throws(TemplateFault) {
        guard name.utf8.first != UInt8(ascii: "_") else {
            throw fail("a namespace takes no attribute '\(name.prefix(40))', which starts with an underscore")
        }
    }

    // MARK: Macros

    @inline(never)
    private func call(_ expression: Expression, _ node: MacroNode) throws(TemplateFault) {
        guard case .chain(let base, let steps) = expression, case .call(let nodes)? = steps.last?.kind else { return }
        let function = try chain(try evaluate(base), steps.dropLast())
        var arguments = try evaluate(nodes)
        arguments.keywords.append(("caller", macro(node)))
        place = steps.last?.place ?? place
        try write(try text(try call(function, arguments)))
    }

    @inline(never)
    func call(_ macro: TemplateMacro, _ arguments: TemplateArguments) throws(TemplateFault) -> TemplateValue {
        let callPlace = place
        let outside = scope
        scope = TemplateScope(parent: macro.scope)
        defer { scope = outside }
        try bind(arguments, to: macro.node)
        let text = try capture(macro.node.body).text
        place = callPlace
        return .string(text)
    }

    /// Fills the current scope with what the macro is called with.
    @inline(never)
    private func bind(_ arguments: TemplateArguments, to node: MacroNode) throws(TemplateFault) {
        var keywords = arguments.keywords
        func takeKeyword(_ name: String) -> TemplateValue? {
            keywords.firstIndex { $0.name == name }.map { keywords.remove(at: $0).value }
        }
        try charge(keywords.count * node.parameters.count)
        var missing: [MacroNode.Parameter] = []
        for (index, parameter) in node.parameters.enumerated() {
            if index < arguments.positional.count {
                scope[parameter.name] = arguments.positional[index]
            } else if let value = takeKeyword(program.names[parameter.name]) {
                scope[parameter.name] = value
            } else {
                // Shadows a variable of the same name outside until its default is known.
                scope[parameter.name] = .undefined("parameter '\(program.names[parameter.name])' was not provided")
                missing.append(parameter)
            }
        }
        if let caller = node.caller { scope[caller] = takeKeyword("caller") ?? .undefined("no caller is defined") }
        if let name = node.keywords {
            var entries: OrderedDictionary<TemplateKey, TemplateValue> = [:]
            for keyword in keywords { entries[TemplateKey(keyword.name)] = keyword.value }
            scope[name] = try dictionary(entries)
        } else if let keyword = keywords.first {
            throw fail("macro '\(node.name)' takes no keyword argument '\(keyword.name)'")
        }
        let rest = arguments.positional.dropFirst(node.parameters.count)
        if let name = node.rest {
            scope[name] = try tuple(Array(rest))
        } else if !rest.isEmpty {
            throw fail("macro '\(node.name)' takes not more than \(node.parameters.count) arguments")
        }
        for parameter in missing {
            if let standard = parameter.standard { scope[parameter.name] = try evaluate(standard) }
        }
    }
}
