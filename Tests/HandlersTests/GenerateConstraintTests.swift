// The fields of structured output: what each asks for, and that every error names its field.
import JSON
import LLMConstraints
import LLMInference
import Testing

@testable import JobHandlers

@Suite struct GenerateConstraintTests {
    private static func input(_ fields: String) throws -> GenerateInput {
        try GenerateInput(JSONValue(parsing: #"{"prompt": "x", \#(fields)}"#))
    }

    @Test(arguments: [
        (#""response_format": {"type": "json_object"}"#, ConstraintSource.jsonObject, "input.response_format"),
        (
            #""response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "null"}}}"#,
            .jsonSchema(["type": "null"]), "input.response_format.json_schema.schema"
        ),
        (#""structured_outputs": {"regex": "a+"}"#, .regex("a+"), "input.structured_outputs.regex"),
        (#""structured_outputs": {"choice": ["a", "b"]}"#, .choice(["a", "b"]), "input.structured_outputs.choice"),
        (
            #""structured_outputs": {"grammar": "root ::= \"a\""}, "response_format": {"type": "text"}"#,
            .grammar("root ::= \"a\""), "input.structured_outputs.grammar"
        ),
    ])
    func everyFormArrives(fields: String, source: ConstraintSource, field: String) throws {
        let constraint = try #require(try Self.input(fields).constraint)
        #expect(constraint.source == source && constraint.field == field)
    }

    @Test(arguments: [
        #""response_format": null"#, #""response_format": {"type": "text"}"#, #""structured_outputs": null"#,
        #""stop": ["a"], "ignore_eos": true"#,
    ])
    func withoutThemTheTextIsFree(fields: String) throws { #expect(try Self.input(fields).constraint == nil) }

    @Test(arguments: [
        (#""response_format": "json""#, "input.response_format"),
        (#""response_format": {"type": "xml"}"#, "input.response_format.type"),
        (#""response_format": {}"#, "input.response_format.type"),
        (#""response_format": {"type": "json_object", "schema": {}}"#, "input.response_format.schema"),
        (#""response_format": {"type": "json_schema"}"#, "input.response_format.json_schema"),
        (#""response_format": {"type": "json_schema", "json_schema": {}}"#, "input.response_format.json_schema.schema"),
        (
            #""response_format": {"type": "json_schema", "json_schema": {"schema": {}, "strict": 1}}"#,
            "input.response_format.json_schema.strict"
        ),
        (
            #""response_format": {"type": "json_schema", "json_schema": {"schema": {}, "name": 1}}"#,
            "input.response_format.json_schema.name"
        ),
        (#""structured_outputs": {}"#, "input.structured_outputs"),
        (#""structured_outputs": {"regex": "a", "choice": ["b"]}"#, "input.structured_outputs"),
        (#""structured_outputs": {"json": {}}"#, "input.structured_outputs.json"),
        (#""structured_outputs": {"regexp": "a"}"#, "input.structured_outputs.regexp"),
        (#""structured_outputs": {"regex": 1}"#, "input.structured_outputs.regex"),
        (#""structured_outputs": {"choice": ["a", 1]}"#, "input.structured_outputs.choice"),
        (
            #""structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}"#,
            "input.structured_outputs"
        ),
        (#""structured_outputs": {"regex": "a"}, "stop": "b""#, "input.stop"),
        (#""response_format": {"type": "json_object"}, "ignore_eos": true"#, "input.ignore_eos"),
        (#""guided_json": {}"#, "input.guided_json"),
    ])
    func errorsNameTheirField(fields: String, field: String) {
        let error = #expect(throws: InputError.self) { try Self.input(fields) }
        #expect(error?.field == field, "\(String(describing: error))")
    }
}
