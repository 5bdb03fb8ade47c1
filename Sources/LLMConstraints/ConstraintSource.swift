// What a client asks for.
import JSON

package enum ConstraintSource: Sendable, Hashable {
    /// A JSON text that satisfies a JSON Schema.
    case jsonSchema(JSONValue)
    /// Any JSON object.
    case jsonObject
    /// The whole text matches.
    case regex(String)
    /// One of these strings.
    case choice([String])
    /// The whole text is derived from the rule `root` of a grammar in GBNF.
    case grammar(String)

    /// The bytes decide: strings that differ only in Unicode normal form are different constraints.
    var key: [UInt8] {
        switch self {
        case .jsonSchema(let schema): Array("s".utf8) + Array(schema.text().utf8)
        case .jsonObject: Array("o".utf8)
        case .regex(let pattern): Array("r".utf8) + Array(pattern.utf8)
        case .choice(let strings): Array("c".utf8) + Array(JSONValue.array(strings.map { .string($0) }).text().utf8)
        case .grammar(let text): Array("g".utf8) + Array(text.utf8)
        }
    }

    func grammar() throws(ConstraintError) -> Grammar {
        if key.count > ConstraintLimits.sourceBytes {
            throw ConstraintError(.tooLarge, "", "is \(key.count) bytes long, at most \(ConstraintLimits.sourceBytes)")
        }
        switch self {
        case .jsonSchema(let schema): return try SchemaCompiler.grammar(of: schema)
        case .jsonObject: return SchemaCompiler.anyObject()
        case .regex(let pattern): return Grammar(root: .automaton(try Regex.automaton(pattern)), name: "regex")
        case .choice(let strings): return try Self.choice(strings)
        case .grammar(let text): return try GBNFParser.grammar(text)
        }
    }

    private static func choice(_ strings: [String]) throws(ConstraintError) -> Grammar {
        if strings.isEmpty { throw ConstraintError(.invalid, "", "has no strings to choose from") }
        if strings.count > ConstraintLimits.choices {
            throw ConstraintError(
                .tooLarge, "", "has \(strings.count) strings, at most \(ConstraintLimits.choices)")
        }
        if let index = strings.firstIndex(where: \.isEmpty) {
            throw ConstraintError(.invalid, "[\(index)]", "must not be empty")
        }
        return Grammar(root: .choice(strings.map { .bytes(Array($0.utf8)) }), name: "choice")
    }
}
