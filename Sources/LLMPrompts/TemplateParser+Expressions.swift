// Tokens → syntax tree: the expressions, one function per level of precedence, loosest first.

extension TemplateParser {
    mutating func expression(withChoice: Bool = true) throws(TemplateFault) -> Expression {
        try enter()
        defer { nesting -= 1 }
        var result = try disjunction()
        guard withChoice else { return result }
        var choices = 0
        defer { nesting -= choices }
        while take(word: "if") {
            let test = try disjunction()
            let otherwise = take(word: "else") ? try expression() : nil
            result = .choice(test: test, then: result, otherwise: otherwise)
            try enter()
            choices += 1
        }
        return result
    }

    /// One expression, or several with commas between as a tuple, which may end with a comma.
    mutating func tuple(withChoice: Bool = true, allowsEmpty: Bool = false) throws(TemplateFault) -> Expression {
        let place = current.place
        var items: [Expression] = []
        var isTuple = false
        while true {
            if [.variableEnd, .blockEnd, .symbol(.closeParenthesis)].contains(current.kind) { break }
            items.append(try expression(withChoice: withChoice))
            guard take(.comma) else { break }
            isTuple = true
        }
        if isTuple || items.isEmpty && allowsEmpty { return .tuple(items, place: place) }
        guard let item = items.first else { throw error("an expression is expected before \(current.text)") }
        return item
    }

    // MARK: Operators

    private mutating func disjunction() throws(TemplateFault) -> Expression {
        let first = try conjunction()
        guard current.kind == .name("or") else { return first }
        var operands = [first]
        while take(word: "or") { operands.append(try conjunction()) }
        return .any(operands)
    }

    private mutating func conjunction() throws(TemplateFault) -> Expression {
        let first = try negation()
        guard current.kind == .name("and") else { return first }
        var operands = [first]
        while take(word: "and") { operands.append(try negation()) }
        return .all(operands)
    }

    private mutating func negation() throws(TemplateFault) -> Expression {
        guard take(word: "not") else { return try comparison() }
        try enter()
        defer { nesting -= 1 }
        return .not(try negation())
    }

    private mutating func comparison() throws(TemplateFault) -> Expression {
        let first = try sum()
        var steps: [(op: ComparisonOperator, operand: Expression, place: Int)] = []
        while let op = comparisonOperator() {
            let place = current.place
            index += op == .notContained ? 2 : 1
            steps.append((op, try sum(), place))
        }
        return steps.isEmpty ? first : .comparison(first, steps)
    }

    private func comparisonOperator() -> ComparisonOperator? {
        switch current.kind {
        case .symbol(let symbol): ComparisonOperator(rawValue: symbol.rawValue)
        case .name("in"): .contained
        case .name("not"): following.kind == .name("in") ? .notContained : nil
        default: nil
        }
    }

    private mutating func sum() throws(TemplateFault) -> Expression {
        let first = try concatenation()
        var steps: [(op: ArithmeticOperator, operand: Expression, place: Int)] = []
        while let op = arithmeticOperator([.add, .subtract]) {
            let place = tokens[index - 1].place
            steps.append((op, try concatenation(), place))
        }
        return steps.isEmpty ? first : .arithmetic(first, steps)
    }

    private mutating func concatenation() throws(TemplateFault) -> Expression {
        let place = current.place
        let first = try product()
        guard current.kind == .symbol(.tilde) else { return first }
        var operands = [first]
        while take(.tilde) { operands.append(try product()) }
        return .concatenation(operands, place: place)
    }

    private mutating func product() throws(TemplateFault) -> Expression {
        let first = try power()
        var steps: [(op: ArithmeticOperator, operand: Expression, place: Int)] = []
        while let op = arithmeticOperator([.multiply, .divide, .floorDivide, .modulo]) {
            let place = tokens[index - 1].place
            steps.append((op, try power(), place))
        }
        return steps.isEmpty ? first : .arithmetic(first, steps)
    }

    private mutating func power() throws(TemplateFault) -> Expression {
        let first = try unary()
        var steps: [(op: ArithmeticOperator, operand: Expression, place: Int)] = []
        while let op = arithmeticOperator([.power]) {
            let place = tokens[index - 1].place
            steps.append((op, try unary(), place))
        }
        return steps.isEmpty ? first : .arithmetic(first, steps)
    }

    private mutating func arithmeticOperator(_ operators: [ArithmeticOperator]) -> ArithmeticOperator? {
        guard case .symbol(let symbol) = current.kind, let op = ArithmeticOperator(rawValue: symbol.rawValue),
            operators.contains(op)
        else { return nil }
        index += 1
        return op
    }

    private mutating func unary(withFilters: Bool = true) throws(TemplateFault) -> Expression {
        try enter()
        defer { nesting -= 1 }
        let place = current.place
        let operand: Expression =
            if take(.minus) {
                .negative(try unary(withFilters: false), place: place)
            } else if take(.plus) {
                .positive(try unary(withFilters: false), place: place)
            } else {
                try primary()
            }
        var steps = try postfixes()
        if withFilters { steps += try filtersAndTests() }
        return steps.isEmpty ? operand : .chain(operand, steps)
    }

    // MARK: Operands

    private mutating func primary() throws(TemplateFault) -> Expression {
        let token = current
        switch token.kind {
        case .name(let name):
            index += 1
            switch name {
            case "true", "True": return .literal(.boolean(true))
            case "false", "False": return .literal(.boolean(false))
            case "none", "None": return .literal(.none)
            default:
                mention(name)
                return .name(identifier(name), place: token.place)
            }
        case .string(var text):
            index += 1
            while case .string(let more) = current.kind {
                text += more
                index += 1
            }
            return .literal(.string(text))
        case .integer(let value):
            index += 1
            return .literal(.integer(value))
        case .float(let value):
            index += 1
            return .literal(.float(value))
        case .symbol(.openParenthesis):
            index += 1
            let inside = try tuple(allowsEmpty: true)
            try expect(.symbol(.closeParenthesis))
            return inside
        case .symbol(.openBracket):
            index += 1
            var items: [Expression] = []
            while !take(.closeBracket) {
                if !items.isEmpty {
                    try expect(.symbol(.comma))
                    if take(.closeBracket) { break }
                }
                items.append(try expression())
            }
            return .list(items, place: token.place)
        case .symbol(.openBrace): return try dictionary()
        default: throw error("an expression is expected before \(token.text)")
        }
    }

    private mutating func dictionary() throws(TemplateFault) -> Expression {
        let place = current.place
        index += 1
        var items: [(key: Expression, value: Expression)] = []
        while !take(.closeBrace) {
            if !items.isEmpty {
                try expect(.symbol(.comma))
                if take(.closeBrace) { break }
            }
            let key = try expression()
            try expect(.symbol(.colon))
            items.append((key, try expression()))
        }
        return .dictionary(items, place: place)
    }

    // MARK: Postfixes

    private mutating func postfixes() throws(TemplateFault) -> [Postfix] {
        var steps: [Postfix] = []
        while true {
            let place = current.place
            switch current.kind {
            case .symbol(.dot):
                index += 1
                switch current.kind {
                case .name(let name): steps.append(Postfix(kind: .attribute(name), place: place))
                case .integer(let value):
                    steps.append(Postfix(kind: .item(.literal(.integer(value))), place: place))
                default: throw error("a name or number is expected after '.'")
                }
                index += 1
            case .symbol(.openBracket):
                index += 1
                steps.append(Postfix(kind: try subscripts(), place: place))
            case .symbol(.openParenthesis):
                steps.append(Postfix(kind: .call(try arguments()), place: place))
            default: return steps
            }
        }
    }

    private mutating func subscripts() throws(TemplateFault) -> Postfix.Kind {
        let place = current.place
        var items: [Expression] = []
        while !take(.closeBracket) {
            if !items.isEmpty { try expect(.symbol(.comma)) }
            if current.kind != .symbol(.colon) { items.append(try expression()) }
            if current.kind == .symbol(.colon) {
                guard items.count < 2 else { throw error("a slice cannot stand beside another index") }
                return try slice(from: items.first)
            }
        }
        return .item(items.count == 1 ? items[0] : .tuple(items, place: place))
    }

    private mutating func slice(from start: Expression?) throws(TemplateFault) -> Postfix.Kind {
        func isBound(_ token: TemplateToken) -> Bool {
            token.kind != .symbol(.colon) && token.kind != .symbol(.closeBracket)
        }
        try expect(.symbol(.colon))
        let stop = isBound(current) ? try expression() : nil
        let step = take(.colon) && isBound(current) ? try expression() : nil
        try expect(.symbol(.closeBracket))
        return .slice(start, stop, step)
    }

    /// Filters, tests, and calls of what they give.
    private mutating func filtersAndTests() throws(TemplateFault) -> [Postfix] {
        var steps: [Postfix] = []
        while true {
            switch current.kind {
            case .symbol(.pipe): steps += try filterChain(startsInline: false)
            case .name("is"): steps.append(try test())
            case .symbol(.openParenthesis):
                let place = current.place
                steps.append(Postfix(kind: .call(try arguments()), place: place))
            default: return steps
            }
        }
    }

    /// `| a | b(…)`; inline, as in `{% filter a | b %}`, the first one has no bar before it.
    mutating func filterChain(startsInline: Bool) throws(TemplateFault) -> [Postfix] {
        var steps: [Postfix] = []
        var startsInline = startsInline
        while startsInline || take(.pipe) {
            startsInline = false
            let place = current.place
            let name = try dottedName()
            let arguments = current.kind == .symbol(.openParenthesis) ? try arguments() : ArgumentNodes()
            steps.append(Postfix(kind: .filter(name, arguments), place: place))
        }
        return steps
    }

    private mutating func test() throws(TemplateFault) -> Postfix {
        index += 1
        let isNegated = take(word: "not")
        let place = current.place
        let name = try dottedName()
        var arguments = ArgumentNodes()
        switch current.kind {
        case .symbol(.openParenthesis): arguments = try self.arguments()
        case .name("else"), .name("or"), .name("and"): break
        case .name("is"): throw error("tests cannot be chained with 'is'")
        case .name, .string, .integer, .float, .symbol(.openBracket), .symbol(.openBrace):
            try enter()
            defer { nesting -= 1 }
            let operand = try primary()
            let steps = try postfixes()
            arguments.positional = [steps.isEmpty ? operand : .chain(operand, steps)]
        default: break
        }
        return Postfix(kind: .test(name, arguments, isNegated: isNegated), place: place)
    }

    private mutating func dottedName() throws(TemplateFault) -> String {
        var name = try name()
        while take(.dot) { name += "." + (try self.name()) }
        return name
    }

    private mutating func arguments() throws(TemplateFault) -> ArgumentNodes {
        try expect(.symbol(.openParenthesis))
        var nodes = ArgumentNodes()
        var names: Set<String> = []
        var isFirst = true
        while !take(.closeParenthesis) {
            if !isFirst {
                try expect(.symbol(.comma))
                if take(.closeParenthesis) { break }
            }
            isFirst = false
            let start = current
            var isAllowed = nodes.unpackedDictionary == nil
            if take(.multiply) {
                isAllowed = isAllowed && nodes.unpackedList == nil
                nodes.unpackedList = try expression()
            } else if take(.power) {
                nodes.unpackedDictionary = try expression()
            } else if case .name(let name) = current.kind, following.kind == .symbol(.assign) {
                index += 2
                isAllowed = isAllowed && names.insert(name).inserted
                nodes.keywords.append((name, try expression()))
            } else {
                isAllowed = isAllowed && nodes.unpackedList == nil && nodes.keywords.isEmpty
                nodes.positional.append(try expression())
            }
            guard isAllowed else {
                throw TemplateFault(.syntax, "arguments stand in the wrong order or are given twice", start.place)
            }
        }
        return nodes
    }
}
