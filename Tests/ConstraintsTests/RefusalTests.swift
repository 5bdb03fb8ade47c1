// What is refused, and how it is said.
import JSON
import Testing

@testable import LLMConstraints

@Suite struct RefusalTests {
    private func error(_ source: ConstraintSource) -> ConstraintError? {
        do throws(ConstraintError) {
            _ = try TokenConstraint(source, vocabulary: .bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        ("(a", ConstraintError.Kind.invalid, "character 1"), ("a)", .invalid, "character 2"),
        ("*a", .invalid, "character 1"),
        ("a{3,2}", .invalid, "character 2"), ("a{", .invalid, "character 2"), ("[b-a]", .invalid, "character 2"),
        ("[a", .invalid, "character 1"), ("ab(?=c)", .unsupported, "character 3"),
        ("(a)\\1", .unsupported, "character 4"),
        ("\\bx", .unsupported, "character 1"), ("(?i)x", .unsupported, "character 1"),
        ("a++", .unsupported, "character 3"),
        ("\\p{Greek}", .unsupported, "character 1"), ("a{20000}", .tooLarge, "character 7"),
        ("x\\", .invalid, "character 2"),
        ("a^b", .impossible, "regex"), ("[^\\d\\D]", .impossible, "regex"),
    ])
    func regularExpressions(pattern: String, kind: ConstraintError.Kind, place: String) {
        let error = error(.regex(pattern))
        #expect(error?.kind == kind && error?.place == place, "\(pattern): \(String(describing: error))")
    }

    @Test(arguments: [
        (##"{"type":"object","properties":{"a":{"not":{}}}}"##, ConstraintError.Kind.unsupported, "#/properties/a/not"),
        (##"{"properties":{"a/b":{"typo":1}}}"##, .unsupported, "#/properties/a~1b/typo"),
        (##"{"type":"text"}"##, .invalid, "#/type"), (##"[]"##, .invalid, "#"),
        (##"{"items":[{}]}"##, .unsupported, "#/items"),
        (##"{"type":"string","format":"colour"}"##, .unsupported, "#/format"),
        (##"{"type":"string","pattern":"a(?=b)"}"##, .unsupported, "#/pattern"),
        (##"{"$ref":"#/$defs/none"}"##, .invalid, "#/$ref"), (##"{"$ref":"http://x.org/y"}"##, .unsupported, "#/$ref"),
        (##"{"$ref":"#"}"##, .impossible, ""), (##"{"type":"string","minLength":5,"maxLength":2}"##, .impossible, "#"),
        (##"{"type":"integer","minimum":5,"maximum":2}"##, .impossible, "#"),
        (##"{"maxLength":-1}"##, .invalid, "#/maxLength"),
        (##"{"maxLength":1000000}"##, .tooLarge, "#/maxLength"),
        (##"{"uniqueItems":true}"##, .unsupported, "#/uniqueItems"),
        (##"{"oneOf":[{"type":"integer"},{"minimum":3}]}"##, .unsupported, "#/oneOf"), (##"false"##, .impossible, ""),
        (##"{"type":"object","required":["a"],"additionalProperties":false}"##, .impossible, "#/required"),
        (##"{"allOf":[{"type":"integer"},{"type":"string"}]}"##, .impossible, ""),
        (##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"##, .impossible, ""),
        (##"{"multipleOf":0.5}"##, .unsupported, "#/multipleOf"),
    ])
    func schemas(schema: String, kind: ConstraintError.Kind, place: String) throws {
        let error = error(.jsonSchema(try JSONValue(parsing: schema)))
        #expect(error?.kind == kind && error?.place == place, "\(schema): \(String(describing: error))")
    }

    @Test(arguments: [
        ("a ::= \"x\"", ConstraintError.Kind.invalid, ""), ("root ::= b", .invalid, "line 1, column 10"),
        ("root ::= \"x", .invalid, "line 1, column 10"), ("root ::= (\"x\"", .invalid, "line 1, column 10"),
        ("root ::= \"a\"\nroot ::= \"b\"", .invalid, "line 2, column 1"),
        ("root = \"a\"", .invalid, "line 1, column 6"),
        ("root ::= root \"a\" | \"a\"", .unsupported, "rule root"),
        ("root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"z\"", .unsupported, "rule a"),
        ("root ::= <think>", .unsupported, "line 1, column 10"),
        ("root ::= [z-a]", .invalid, "line 1, column 11"), ("root ::= \"a\" root", .impossible, ""),
        ("root ::= * ", .invalid, "line 1, column 10"),
    ])
    func grammars(text: String, kind: ConstraintError.Kind, place: String) {
        let error = error(.grammar(text))
        #expect(error?.kind == kind && error?.place == place, "\(text): \(String(describing: error))")
    }

    @Test func choices() {
        #expect(error(.choice([]))?.kind == .invalid)
        #expect(error(.choice(["a", ""]))?.place == "[1]")
        #expect(error(.choice(Array(repeating: "a", count: ConstraintLimits.choices + 1)))?.kind == .tooLarge)
    }

    @Test func limitsHold() throws {
        func nested(_ open: String, _ close: String, _ depth: Int) -> String {
            String(repeating: open, count: depth) + "a" + String(repeating: close, count: depth)
        }
        #expect(error(.regex(String(repeating: "a", count: ConstraintLimits.sourceBytes)))?.kind == .tooLarge)
        #expect(error(.regex(nested("(", ")", ConstraintLimits.depth)))?.kind == .tooLarge)
        #expect(error(.regex(nested("(", ")", ConstraintLimits.depth - 1))) == nil)
        #expect(error(.grammar("root ::= " + nested("(", ")", ConstraintLimits.depth)))?.kind == .tooLarge)
        #expect(error(.regex("((a{1000}){1000}){1000}"))?.kind == .tooLarge)
        #expect(error(.regex("(a|b)*a(a|b){20}"))?.kind == .tooLarge, "exponentially many states")
        #expect(error(.jsonSchema(["type": "string", "maxLength": 10_000]))?.kind == .tooLarge)
        var schema: JSONValue = true
        for _ in 0...ConstraintLimits.depth { schema = ["items": schema] }
        #expect(error(.jsonSchema(schema))?.kind == .tooLarge)
        // Each level doubles what is read.
        var definitions: [(String, JSONValue)] = [("d0", ["type": "null"])]
        for index in 1...40 {
            let reference: JSONValue = ["$ref": .string("#/$defs/d\(index - 1)"), "title": "t"]
            definitions.append(("d\(index)", ["allOf": [reference, reference]]))
        }
        let doubling: JSONValue = ["$defs": .object(.init(uniqueKeysWithValues: definitions)), "$ref": "#/$defs/d40"]
        #expect(error(.jsonSchema(doubling))?.kind == .tooLarge)
        let endless = ##"{"type": "object", "properties": {"a": {"$ref": "#", "required": ["a"]}}}"##
        #expect(error(.jsonSchema(try JSONValue(parsing: endless)))?.kind == .tooLarge)
        let names = (0...ConstraintLimits.rules).map { "r\($0) ::= \"a\"" }.joined(separator: "\n")
        #expect(error(.grammar("root ::= r0\n" + names))?.kind == .tooLarge)
    }

    /// A grammar with ever more ways to read the same text: some are dropped, the answer stays valid.
    @Test func ambiguityIsBounded() throws {
        let source = ConstraintSource.grammar("root ::= s\ns ::= \"a\" s \"b\" | \"a\" s \"c\" | \"a\" s s | \"a\"")
        let constraint = try TokenConstraint(source, vocabulary: .bytes)
        let matcher = ConstraintMatcher(constraint)
        let isAccepted = (0..<200).allSatisfy { _ in matcher.accept(Int32(UInt8(ascii: "a"))) }
        #expect(isAccepted)
        var random = TestRandom()
        var walk = Walk(constraint)
        let isFinished = walk.finishAtRandom(within: 100, &random)
        #expect(isFinished, "seed \(random.seed)")
    }

    @Test func cacheIsBoundedAndKnowsSourcesByTheirBytes() throws {
        let cache = ConstraintCache { .bytes }
        let first = try cache.constraint(.choice(["\u{E9}"]))
        #expect(try cache.constraint(.choice(["\u{E9}"])) === first)
        #expect(try cache.constraint(.choice(["e\u{301}"])) !== first)
        for index in 0..<ConstraintLimits.cachedConstraints { _ = try cache.constraint(.regex("a{\(index)}")) }
        #expect(try cache.constraint(.choice(["\u{E9}"])) !== first)
    }
}
