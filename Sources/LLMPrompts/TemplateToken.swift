// What the lexer hands to the parser.

struct TemplateToken: Sendable {
    enum Kind: Sendable, Equatable {
        /// Text outside all tags, white-space control already applied.
        case data(String)
        case variableBegin, variableEnd, blockBegin, blockEnd
        case name(String)
        /// A string literal, escapes already replaced.
        case string(String)
        case integer(Int)
        case float(Double)
        case symbol(Symbol)
        case end
    }

    enum Symbol: String, Sendable, CaseIterable {
        case power = "**"
        case floorDivide = "//"
        case equal = "=="
        case notEqual = "!="
        case greaterOrEqual = ">="
        case lessOrEqual = "<="
        case greater = ">"
        case less = "<"
        case assign = "="
        case plus = "+"
        case minus = "-"
        case divide = "/"
        case multiply = "*"
        case modulo = "%"
        case tilde = "~"
        case openBracket = "["
        case closeBracket = "]"
        case openParenthesis = "("
        case closeParenthesis = ")"
        case openBrace = "{"
        case closeBrace = "}"
        case dot = "."
        case colon = ":"
        case pipe = "|"
        case comma = ","
        case semicolon = ";"
    }

    let kind: Kind
    /// Byte offset in the normalised source.
    let place: Int

    /// For messages.
    var text: String {
        switch kind {
        case .data: "text"
        case .variableBegin: "'{{'"
        case .variableEnd: "'}}'"
        case .blockBegin: "'{%'"
        case .blockEnd: "'%}'"
        case .name(let name): "'\(name.prefix(40))'"
        case .string: "a string"
        case .integer, .float: "a number"
        case .symbol(let symbol): "'\(symbol.rawValue)'"
        case .end: "the end of the template"
        }
    }
}
