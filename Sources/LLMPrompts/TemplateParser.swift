// Tokens → syntax tree: the statements. Follows the grammar of jinja2/parser.py 3.1 with the extensions that
// transformers adds (break, continue, generation); template inheritance, which chat templates cannot use, is left out.

struct TemplateParser {
    let tokens: [TemplateToken]
    let maximumNesting: Int
    var index = 0
    var nesting = 0
    private var identifiers: [String: Int] = [:]
    private(set) var names: [String] = []
    /// Loops around the current statement within the same macro.
    private var loops = 0
    /// One entry per macro or call block around the current place: which special names it mentions.
    private var mentions: [Set<String>] = []

    private init(tokens: [TemplateToken], maximumNesting: Int) {
        self.tokens = tokens
        self.maximumNesting = maximumNesting
    }

    static func parse(_ source: String, maximumNesting: Int) throws(TemplateFault) -> TemplateProgram {
        var parser = TemplateParser(
            tokens: try TemplateLexer.tokens(of: source), maximumNesting: maximumNesting)
        let body = try parser.statements(until: [])
        return TemplateProgram(body: body, names: parser.names)
    }

    // MARK: Bodies

    /// Statements up to a tag with one of the given names, whose name is the current token then; with no names, up to
    /// the end of the template.
    private mutating func statements(until ends: [String]) throws(TemplateFault) -> [Statement] {
        var body: [Statement] = []
        while true {
            let token = current
            switch token.kind {
            case .data(let text):
                index += 1
                body.append(.text(text))
            case .variableBegin:
                index += 1
                body.append(.output(try tuple(), place: token.place))
                try expect(.variableEnd)
            case .blockBegin:
                index += 1
                if case .name(let name) = current.kind, ends.contains(name) { return body }
                body.append(contentsOf: try statement())
                try expect(.blockEnd)
            default:
                guard ends.isEmpty else {
                    throw error("the template ends where '{% \(ends.last!) %}' is expected")
                }
                return body
            }
        }
    }

    /// The body of a statement whose tag is about to close; stops behind the name of the tag that ends it.
    private mutating func body(until ends: String...) throws(TemplateFault) -> (body: [Statement], end: String) {
        _ = take(.colon)
        try expect(.blockEnd)
        let body = try statements(until: ends)
        return (body, try name())
    }

    /// Code that runs as a function of its own: loops around it cannot be left from inside.
    private mutating func functionBody(until end: String) throws(TemplateFault) -> [Statement] {
        let outside = loops
        loops = 0
        defer { loops = outside }
        return try body(until: end).body
    }

    private mutating func statement() throws(TemplateFault) -> [Statement] {
        try enter()
        defer { nesting -= 1 }
        let token = current
        let tag = try name()
        switch tag {
        case "if": return [try condition()]
        case "for": return [try loop(token.place)]
        case "set": return [try set()]
        case "macro": return [try macro()]
        case "call": return [try call(token.place)]
        case "filter":
            let filters = try filterChain(startsInline: true)
            return [.filter(filters, try body(until: "endfilter").body)]
        case "with": return [try with()]
        case "generation": return [.generation(try functionBody(until: "endgeneration"))]
        case "print": return try outputs()
        case "break", "continue":
            guard loops > 0 else { throw TemplateFault(.syntax, "'\(tag)' outside a loop", token.place) }
            return [tag == "break" ? .breakLoop : .continueLoop]
        case "block", "extends", "include", "import", "from", "autoescape":
            throw TemplateFault(.syntax, "'\(tag)' is not supported in a chat template", token.place)
        default: throw TemplateFault(.syntax, "unknown tag \(token.text)", token.place)
        }
    }

    // MARK: Statements

    private mutating func condition() throws(TemplateFault) -> Statement {
        var branches: [(test: Expression, body: [Statement])] = []
        var end = "elif"
        while end == "elif" {
            let test = try tuple(withChoice: false)
            let branch = try body(until: "elif", "else", "endif")
            branches.append((test, branch.body))
            end = branch.end
        }
        return .condition(branches, otherwise: end == "else" ? try body(until: "endif").body : [])
    }

    private mutating func loop(_ place: Int) throws(TemplateFault) -> Statement {
        let target = try target()
        try expect(word: "in")
        let sequence = try tuple(withChoice: false)
        let filter = take(word: "if") ? try expression() : nil
        guard !take(word: "recursive") else { throw error("recursive loops are not supported") }
        loops += 1
        let inside: (body: [Statement], end: String)
        do {
            defer { loops -= 1 }
            inside = try body(until: "endfor", "else")
        }
        let otherwise = inside.end == "else" ? try body(until: "endfor").body : []
        return .loop(
            LoopNode(
                target: target, sequence: sequence, filter: filter, body: inside.body, otherwise: otherwise,
                place: place))
    }

    private mutating func set() throws(TemplateFault) -> Statement {
        let target = try target(withNamespace: true)
        if take(.assign) { return .set(target, try tuple()) }
        let filters = try filterChain(startsInline: false)
        return .setBlock(target, filters: filters, try body(until: "endset").body)
    }

    private mutating func macro() throws(TemplateFault) -> Statement {
        let token = current
        let name = try name()
        guard !Self.constants.contains(name) else { throw error("a macro cannot be called \(token.text)") }
        return .macro(try macro(name, parameters: try signature(), until: "endmacro", token.place))
    }

    private mutating func call(_ place: Int) throws(TemplateFault) -> Statement {
        let parameters = current.kind == .symbol(.openParenthesis) ? try signature() : []
        let expression = try expression()
        guard case .chain(_, let steps) = expression, case .call = steps.last?.kind else {
            throw TemplateFault(.syntax, "'call' needs a call of a macro", place)
        }
        return .call(expression, body: try macro("caller", parameters: parameters, until: "endcall", place))
    }

    private mutating func macro(
        _ name: String, parameters: [MacroNode.Parameter], until end: String, _ place: Int
    ) throws(TemplateFault) -> MacroNode {
        mentions.append([])
        let body = try functionBody(until: end)
        let mentioned = mentions.removeLast()
        let own = Set(parameters.map { names[$0.name] })
        func special(_ word: String) -> Int? {
            mentioned.contains(word) && !own.contains(word) ? identifiers[word] : nil
        }
        return MacroNode(
            name: name, id: identifier(name), parameters: parameters, body: body, caller: special("caller"),
            keywords: special("kwargs"), rest: special("varargs"), place: place)
    }

    private mutating func signature() throws(TemplateFault) -> [MacroNode.Parameter] {
        try expect(.symbol(.openParenthesis))
        var parameters: [MacroNode.Parameter] = []
        while !take(.closeParenthesis) {
            if !parameters.isEmpty { try expect(.symbol(.comma)) }
            let name = identifier(try name())
            guard !parameters.contains(where: { $0.name == name }) else { throw error("a parameter is named twice") }
            guard parameters.count < Self.maximumParameters else { throw error("too many parameters") }
            if take(.assign) {
                parameters.append(MacroNode.Parameter(name: name, standard: try expression()))
            } else {
                guard parameters.last?.standard == nil else {
                    throw error("a parameter without default follows one with default")
                }
                parameters.append(MacroNode.Parameter(name: name, standard: nil))
            }
        }
        return parameters
    }

    private mutating func with() throws(TemplateFault) -> Statement {
        var assignments: [(Target, Expression)] = []
        while current.kind != .blockEnd, current.kind != .symbol(.colon) {
            if !assignments.isEmpty { try expect(.symbol(.comma)) }
            let target = try target()
            try expect(.symbol(.assign))
            assignments.append((target, try expression()))
        }
        return .with(assignments, try body(until: "endwith").body)
    }

    private mutating func outputs() throws(TemplateFault) -> [Statement] {
        var statements: [Statement] = []
        while current.kind != .blockEnd {
            if !statements.isEmpty { try expect(.symbol(.comma)) }
            let place = current.place
            statements.append(.output(try expression(), place: place))
        }
        return statements
    }

    // MARK: Targets

    private static let maximumParameters = 255
    static let constants: Set<String> = ["true", "false", "none", "True", "False", "None"]

    /// A name, a namespace attribute where that is allowed, or several of them with commas between.
    private mutating func target(withNamespace: Bool = false) throws(TemplateFault) -> Target {
        try enter()
        defer { nesting -= 1 }
        let place = current.place
        var targets: [Target] = []
        var isTuple = false
        while true {
            if isTuple, [.blockEnd, .symbol(.closeParenthesis)].contains(current.kind) { break }
            targets.append(try singleTarget(withNamespace: withNamespace))
            guard take(.comma) else { break }
            isTuple = true
        }
        if isTuple { return .tuple(targets, place: place) }
        return targets[0]
    }

    private mutating func singleTarget(withNamespace: Bool) throws(TemplateFault) -> Target {
        if take(.openParenthesis) {
            let target = try target(withNamespace: withNamespace)
            try expect(.symbol(.closeParenthesis))
            return target
        }
        let token = current
        let name = try name()
        guard !Self.constants.contains(name) else {
            throw TemplateFault(.syntax, "cannot assign to \(token.text)", token.place)
        }
        if withNamespace, take(.dot) { return .attribute(of: identifier(name), try self.name(), place: token.place) }
        return .name(identifier(name))
    }

    // MARK: Names

    mutating func identifier(_ name: String) -> Int {
        if let known = identifiers[name] { return known }
        identifiers[name] = names.count
        names.append(name)
        return names.count - 1
    }

    mutating func mention(_ name: String) {
        for index in mentions.indices { mentions[index].insert(name) }
    }
}

// MARK: Tokens

extension TemplateParser {
    var current: TemplateToken { tokens[index] }

    /// The token after the current one.
    var following: TemplateToken { tokens[min(index + 1, tokens.count - 1)] }

    mutating func take(_ symbol: TemplateToken.Symbol) -> Bool {
        guard current.kind == .symbol(symbol) else { return false }
        index += 1
        return true
    }

    mutating func take(word: String) -> Bool {
        guard current.kind == .name(word) else { return false }
        index += 1
        return true
    }

    mutating func name() throws(TemplateFault) -> String {
        guard case .name(let name) = current.kind else { throw error("a name is expected before \(current.text)") }
        index += 1
        return name
    }

    mutating func expect(_ kind: TemplateToken.Kind) throws(TemplateFault) {
        guard current.kind == kind else {
            let expected = TemplateToken(kind: kind, place: 0).text
            throw error("\(expected) is expected before \(current.text)")
        }
        index += 1
    }

    mutating func expect(word: String) throws(TemplateFault) {
        guard take(word: word) else { throw error("'\(word)' is expected before \(current.text)") }
    }

    mutating func enter() throws(TemplateFault) {
        guard nesting < maximumNesting else {
            throw TemplateFault(.limit, "more than \(maximumNesting) levels inside one another", current.place)
        }
        nesting += 1
    }

    func error(_ reason: String) -> TemplateFault { TemplateFault(.syntax, reason, current.place) }
}
