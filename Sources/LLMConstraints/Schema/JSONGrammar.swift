// Parts of JSON texts.
import JSON

enum JSONGrammar {
    /// What may stand between two parts; bounded, so that a model can't write space for ever.
    static let space = Expression.choice([
        .empty, .text(" "), .sequence([.text("\n"), .repeated(.text(" "), 0, 20)]),
    ])
    static let comma = Expression.sequence([.text(","), space])

    static func key(_ name: String) -> Expression {
        var text = ""
        JSONValue.writeQuoted(name, to: &text)
        return .sequence([.text(text + ":"), space])
    }

    /// Characters that stand for themselves in a string.
    static let plain = ScalarSet([0x20...0x21, 0x23...0x5B, 0x5D...0x10FFFF])

    /// One character of a string in every spelling.
    static let character: Expression = {
        let digit = Expression.scalars(ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]))
        func set(_ text: String) -> Expression { .scalars(ScalarSet(text.unicodeScalars)) }
        let low = Expression.sequence([.text("\\u"), set("dD"), set("cdefCDEF"), digit, digit])
        let unit = Expression.choice([
            .sequence([set("0123456789abcefABCEF"), digit, digit, digit]),
            .sequence([set("dD"), set("01234567"), digit, digit]),
            .sequence([set("dD"), set("89abAB"), digit, digit, low]),
        ])
        return .choice([
            .scalars(plain),
            .sequence([.text("\\"), .choice([set("\"\\/bfnrt"), .sequence([.text("u"), unit])])]),
        ])
    }()

    /// Characters in the one spelling that a writer of JSON would choose.
    static func spelling(_ set: ScalarSet) -> Expression {
        var choices: [Expression] = []
        let plain = set.intersection(Self.plain)
        if !plain.isEmpty { choices.append(.scalars(plain)) }
        for range in set.subtracting(Self.plain).ranges {
            for code in range {
                var text = ""
                JSONValue.writeQuoted(String(Character(Unicode.Scalar(code)!)), to: &text)
                choices.append(.text(String(text.dropFirst().dropLast())))
            }
        }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    /// Up to 18 digits, which every reader's integers hold.
    static let integer = Expression.sequence([
        .optional(.text("-")),
        .choice([
            .text("0"),
            .sequence([.scalars(ScalarSet([0x31...0x39])), .repeated(.scalars(.digits), 0, 17)]),
        ]),
    ])
    static let fraction = Expression.sequence([.text("."), .repeated(.scalars(.digits), 1, 17)])
    static let exponent = Expression.sequence([
        .scalars(ScalarSet("eE".unicodeScalars)), .optional(.scalars(ScalarSet("+-".unicodeScalars))),
        .repeated(.scalars(.digits), 1, 2),
    ])
    static let number = Expression.sequence([integer, .optional(fraction), .optional(exponent)])
}

extension SchemaCompiler {
    /// Any value.
    mutating func value() -> Int {
        unfailing("value") { compiler in
            .choice([
                .call(compiler.object()), .call(compiler.array()), .sequence([.text("\""), .call(compiler.string())]),
                .call(compiler.number()), .text("true"), .text("false"), .text("null"),
            ])
        }
    }

    mutating func object() -> Int {
        unfailing("object") { compiler in
            let member = Expression.sequence([
                .text("\""), .call(compiler.string()), .text(":"), JSONGrammar.space, .call(compiler.value()),
            ])
            return .sequence([
                .text("{"), JSONGrammar.space, .list([], separator: JSONGrammar.comma, rest: member),
                JSONGrammar.space, .text("}"),
            ])
        }
    }

    mutating func array() -> Int {
        unfailing("array") { compiler in
            .sequence([
                .text("["), JSONGrammar.space,
                .list([], separator: JSONGrammar.comma, rest: .call(compiler.value())), JSONGrammar.space, .text("]"),
            ])
        }
    }

    /// The rest of a string after its first quote.
    mutating func string() -> Int {
        unfailing("string") { _ in .sequence([.any(JSONGrammar.character), .text("\"")]) }
    }

    mutating func number() -> Int { unfailing("number") { _ in JSONGrammar.number } }
    mutating func integer() -> Int { unfailing("integer") { _ in JSONGrammar.integer } }

    private mutating func unfailing(_ key: String, _ make: (inout SchemaCompiler) -> Expression) -> Int {
        do throws(ConstraintError) {
            return try shared(key) { compiler throws(ConstraintError) in make(&compiler) }
        } catch {
            preconditionFailure("nothing in it can fail: \(error)")
        }
    }
}
