// The syntax tree. Chains (`a.b | c`, `a + b + c`, `a < b < c`, `a ~ b`) are lists, so that their length does not become
// depth. Variable names are numbers into `TemplateProgram.names`; places are byte offsets in the normalised source.

/// A parsed template.
struct TemplateProgram: Sendable {
    let body: [Statement]
    let names: [String]
}

indirect enum Statement: Sendable {
    case text(String)
    case output(Expression, place: Int)
    case condition([(test: Expression, body: [Statement])], otherwise: [Statement])
    case loop(LoopNode)
    case set(Target, Expression)
    case setBlock(Target, filters: [Postfix], [Statement])
    case macro(MacroNode)
    case call(Expression, body: MacroNode)
    case filter([Postfix], [Statement])
    case with([(Target, Expression)], [Statement])
    /// `{% generation %}`: text that the assistant said, marked for training masks.
    case generation([Statement])
    case breakLoop
    case continueLoop
}

struct LoopNode: Sendable {
    let target: Target
    let sequence: Expression
    let filter: Expression?
    let body: [Statement]
    let otherwise: [Statement]
    let place: Int
}

struct MacroNode: Sendable {
    struct Parameter: Sendable {
        let name: Int
        let standard: Expression?
    }
    let name: String
    let id: Int
    let parameters: [Parameter]
    let body: [Statement]
    /// Ids of the names that a macro receives only when its body mentions them.
    let caller: Int?
    let keywords: Int?
    let rest: Int?
    let place: Int
}

/// What an assignment fills.
indirect enum Target: Sendable {
    case name(Int)
    case attribute(of: Int, String, place: Int)
    case tuple([Target], place: Int)
}

indirect enum Expression: Sendable {
    case literal(Literal)
    case name(Int, place: Int)
    case list([Expression], place: Int)
    case tuple([Expression], place: Int)
    case dictionary([(key: Expression, value: Expression)], place: Int)
    case chain(Expression, [Postfix])
    case negative(Expression, place: Int)
    case positive(Expression, place: Int)
    case not(Expression)
    case all([Expression])
    case any([Expression])
    case arithmetic(Expression, [(op: ArithmeticOperator, operand: Expression, place: Int)])
    case comparison(Expression, [(op: ComparisonOperator, operand: Expression, place: Int)])
    case concatenation([Expression], place: Int)
    case choice(test: Expression, then: Expression, otherwise: Expression?)
}

enum Literal: Sendable {
    case none
    case boolean(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
}

enum ArithmeticOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
}

enum ComparisonOperator: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case contained = "in"
    case notContained = "not in"
}

/// What stands after an operand.
struct Postfix: Sendable {
    enum Kind: Sendable {
        case attribute(String)
        case item(Expression)
        case slice(Expression?, Expression?, Expression?)
        case call(ArgumentNodes)
        case filter(String, ArgumentNodes)
        case test(String, ArgumentNodes, isNegated: Bool)
    }
    let kind: Kind
    let place: Int
}

struct ArgumentNodes: Sendable {
    var positional: [Expression] = []
    var keywords: [(name: String, value: Expression)] = []
    var unpackedList: Expression?
    var unpackedDictionary: Expression?
}
