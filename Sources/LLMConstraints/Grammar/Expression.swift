// The one form that schemas, regular expressions and grammars are turned into: expressions over bytes that call rules.

indirect enum Expression: Sendable {
    case bytes([UInt8])
    /// One character, as UTF-8.
    case scalars(ScalarSet)
    case sequence([Expression])
    /// Nothing at all when empty.
    case choice([Expression])
    /// `nil` = without bound.
    case repeated(Expression, Int, Int?)
    /// Elements in this order with a separator between each two; what is not required may be left out.
    case list([Element], separator: Expression, rest: Expression?)
    case call(Int)
    case automaton(ByteAutomaton)
    /// `^` and `$` of a regular expression.
    case begin
    case end

    struct Element: Sendable {
        var expression: Expression
        var isRequired: Bool
    }

    static let empty = Expression.sequence([])
    static let never = Expression.choice([])

    static func text(_ text: String) -> Expression { .bytes(Array(text.utf8)) }
    static func optional(_ expression: Expression) -> Expression { .repeated(expression, 0, 1) }
    static func any(_ expression: Expression) -> Expression { .repeated(expression, 0, nil) }

    /// The same expression with every set of characters replaced.
    func mapScalars(_ replace: (ScalarSet) -> Expression) -> Expression {
        switch self {
        case .bytes, .call, .automaton, .begin, .end: self
        case .scalars(let set): replace(set)
        case .sequence(let parts): .sequence(parts.map { $0.mapScalars(replace) })
        case .choice(let parts): .choice(parts.map { $0.mapScalars(replace) })
        case .repeated(let part, let least, let most): .repeated(part.mapScalars(replace), least, most)
        case .list(let elements, let separator, let rest):
            .list(
                elements.map { Element(expression: $0.expression.mapScalars(replace), isRequired: $0.isRequired) },
                separator: separator.mapScalars(replace), rest: rest?.mapScalars(replace))
        }
    }
}

/// Rules; the first one is the root. A rule may call any rule, also itself.
struct Grammar: Sendable {
    struct Rule: Sendable {
        /// For messages.
        var name: String
        var expression: Expression
    }

    var rules: [Rule]

    init(rules: [Rule]) { self.rules = rules }
    init(root: Expression, name: String) { rules = [Rule(name: name, expression: root)] }
}
