// Which texts a constraint accepts, against software of others; see scripts/goldens/constraints.py.
import JSON
import Testing

@testable import LLMConstraints

@Suite struct AcceptanceTests {
    private func check(_ entries: [JSONValue], _ source: (JSONValue) throws -> ConstraintSource) throws {
        var pairs = 0
        for entry in entries {
            let source = try source(entry)
            let judge = try TextJudge(source)
            for (text, isAccepted) in Goldens.texts(entry) {
                pairs += 1
                #expect(judge.accepts(text) == isAccepted, "\(source): \(text.debugDescription)")
            }
        }
        print("\(pairs) pairs")
        #expect(pairs > 50)
    }

    @Test func schemasAgreeWithJsonschema() throws {
        try check(try Goldens.entries("schemas")) {
            .jsonSchema(try JSONValue(parsing: try #require($0["schema"]?.stringValue)))
        }
    }

    @Test func regularExpressionsAgreeWithPython() throws {
        try check(try Goldens.entries("regexes")) { .regex(try #require($0["pattern"]?.stringValue)) }
    }

    @Test func grammarsAgreeWithXGrammar() throws {
        try check(try Goldens.entries("grammars")) { .grammar(try #require($0["grammar"]?.stringValue)) }
    }

    @Test func jsonObjectTakesObjectsAlone() throws {
        let judge = try TextJudge(.jsonObject)
        for text in [
            "{}", "{\"a\": [1, 2.5e3, {\"b\": null}], \"\\u00e9\\ud83d\\ude00\": true}", "{\n  \"x\": \"é😀\"\n}",
        ] {
            #expect(judge.accepts(text), "\(text)")
        }
        for text in [
            "", "[]", "1", "{", "{}}", "{\"a\":}", "{\"a\": 01}", "{\"\\ud83d\": 1}", "{'a': 1}", "{\"a\": 1,}",
        ] {
            #expect(!judge.accepts(text), "\(text)")
        }
    }

    @Test func choicesAreTakenWhole() throws {
        let judge = try TextJudge(.choice(["yes", "no", "nobody", "größe"]))
        for text in ["yes", "no", "nobody", "größe"] { #expect(judge.accepts(text)) }
        for text in ["", "n", "nob", "yesno", "grösse"] { #expect(!judge.accepts(text)) }
    }

    @Test func onlyValidUTF8IsAccepted() throws {
        let constraint = try TokenConstraint(.regex("[^a]*"), vocabulary: .bytes)
        for bytes: [UInt8] in [
            [0x80], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF0, 0x80, 0x80, 0x80],
        ] {
            let matcher = ConstraintMatcher(constraint)
            let isAccepted = bytes.allSatisfy { matcher.accept(Int32($0)) }
            #expect(!isAccepted, "\(bytes)")
        }
        for scalar: Unicode.Scalar in ["\u{80}", "\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}"] {
            let matcher = ConstraintMatcher(constraint)
            let isAccepted = String(scalar).utf8.allSatisfy { matcher.accept(Int32($0)) }
            #expect(isAccepted && matcher.isSatisfied, "\(scalar)")
        }
    }

    @Test func unicodeCategories() throws {
        let judge = try TextJudge(.regex("\\p{Lu}\\p{L}*(\\P{L}\\p{Nd}+)?"))
        for text in ["Éa", "Ωμέγα", "Ж-٣4", "A 1"] { #expect(judge.accepts(text), "\(text)") }
        for text in ["éa", "1", "Éa1x"] { #expect(!judge.accepts(text), "\(text)") }
    }
}
