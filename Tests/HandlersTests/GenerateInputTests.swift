// The input of a generate job: its defaults, and that every error names its field.
import JSON
import JobModel
import LLMInference
import Testing

@testable import JobHandlers

@Suite struct GenerateInputTests {
    private static func input(_ text: String) throws -> GenerateInput {
        try GenerateInput(JSONValue(parsing: text))
    }

    @Test func defaultsAreThoseOfTheDocumentation() throws {
        let input = try Self.input(#"{"prompt": "x"}"#)
        guard case .text("x", raw: false) = input.prompt else {
            Issue.record("\(input.prompt)")
            return
        }
        #expect(input.system == nil && input.tools.isEmpty)
        #expect(input.parameters == SamplingParameters(maximumTokens: 256))
        // A field that is null is as one that is missing.
        let nulls = """
            {"prompt": "x", "messages": null, "raw": null, "system": null, "tools": null, "max_tokens": null,
             "temperature": null, "stop": null, "logprobs": null, "seed": null}
            """
        #expect(try Self.input(nulls).parameters == SamplingParameters(maximumTokens: 256))
    }

    @Test func everyFieldArrives() throws {
        let input = try Self.input(
            """
            {"messages": [{"role": "user", "content": "x"}], "system": "s", "tools": [{"type": "function"}],
             "max_tokens": 7, "temperature": 0.5, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.1,
             "presence_penalty": -1, "frequency_penalty": 2, "seed": -3, "stop": ["a", "b"], "logprobs": 5,
             "ignore_eos": true}
            """)
        guard case .messages(let messages) = input.prompt else {
            Issue.record("\(input.prompt)")
            return
        }
        #expect(messages == [["role": "user", "content": "x"]])
        #expect(input.system == "s" && input.tools == [["type": "function"]])
        #expect(
            input.parameters
                == SamplingParameters(
                    maximumTokens: 7, temperature: 0.5, topK: 40, topP: 0.9, minP: 0.05, repetitionPenalty: 1.1,
                    presencePenalty: -1, frequencyPenalty: 2, seed: UInt64(bitPattern: -3), stop: ["a", "b"],
                    logprobs: 5, ignoreEndOfText: true))
        #expect(try Self.input(#"{"prompt": "x", "stop": "a"}"#).parameters.stop == ["a"])
        #expect(try Self.input(#"{"prompt": "x", "logprobs": true}"#).parameters.logprobs == 0)
        #expect(try Self.input(#"{"prompt": "x", "logprobs": false}"#).parameters.logprobs == -1)
        #expect(try Self.input(#"{"prompt": "x", "max_tokens": 1e3}"#).parameters.maximumTokens == 1000)
        guard case .text("x", raw: true) = try Self.input(#"{"prompt": "x", "raw": true}"#).prompt else {
            Issue.record("raw got lost")
            return
        }
    }

    @Test(arguments: [
        ("[]", "input"), ("{}", "input.prompt"), (#"{"prompt": ""}"#, "input.prompt"),
        (#"{"prompt": 1}"#, "input.prompt"),
        (#"{"prompt": "x", "messages": [{"role": "user", "content": "y"}]}"#, "input.messages"),
        (#"{"messages": []}"#, "input.messages"), (#"{"messages": {}}"#, "input.messages"),
        (#"{"messages": [{"role": "user", "content": "y"}], "raw": true}"#, "input.raw"),
        (#"{"prompt": "x", "raw": 1}"#, "input.raw"), (#"{"prompt": "x", "raw": true, "system": "s"}"#, "input.raw"),
        (#"{"prompt": "x", "raw": true, "tools": [{}]}"#, "input.raw"),
        (#"{"prompt": "x", "system": 1}"#, "input.system"), (#"{"prompt": "x", "tools": {}}"#, "input.tools"),
        (#"{"prompt": "x", "max_tokens": 0}"#, "input.max_tokens"),
        (#"{"prompt": "x", "max_tokens": 1000001}"#, "input.max_tokens"),
        (#"{"prompt": "x", "max_tokens": 1.5}"#, "input.max_tokens"),
        (#"{"prompt": "x", "max_tokens": "5"}"#, "input.max_tokens"),
        (#"{"prompt": "x", "temperature": -0.1}"#, "input.temperature"),
        (#"{"prompt": "x", "temperature": 1e300}"#, "input.temperature"),
        (#"{"prompt": "x", "top_k": -1}"#, "input.top_k"), (#"{"prompt": "x", "top_p": 0}"#, "input.top_p"),
        (#"{"prompt": "x", "top_p": 1.1}"#, "input.top_p"), (#"{"prompt": "x", "min_p": -1}"#, "input.min_p"),
        (#"{"prompt": "x", "repetition_penalty": 0}"#, "input.repetition_penalty"),
        (#"{"prompt": "x", "presence_penalty": 2.5}"#, "input.presence_penalty"),
        (#"{"prompt": "x", "frequency_penalty": -2.5}"#, "input.frequency_penalty"),
        (#"{"prompt": "x", "seed": 0.5}"#, "input.seed"), (#"{"prompt": "x", "seed": "s"}"#, "input.seed"),
        (#"{"prompt": "x", "stop": 5}"#, "input.stop"), (#"{"prompt": "x", "stop": ""}"#, "input.stop"),
        (#"{"prompt": "x", "stop": ["a", ""]}"#, "input.stop[1]"),
        (#"{"prompt": "x", "stop": ["a", 1]}"#, "input.stop[1]"),
        (#"{"prompt": "x", "logprobs": 21}"#, "input.logprobs"),
        (#"{"prompt": "x", "logprobs": "yes"}"#, "input.logprobs"),
        (#"{"prompt": "x", "ignore_eos": 1}"#, "input.ignore_eos"),
        (#"{"prompt": "x", "stream": true}"#, "input.stream"), (#"{"prompt": "x", "": 1}"#, "input."),
    ])
    func errorsNameTheirField(text: String, field: String) throws {
        let value = try JSONValue(parsing: text)
        let error = #expect(throws: InputError.self) { try GenerateInput(value) }
        #expect(error?.field == field, "\(error?.description ?? "")")
        #expect(error?.description.hasPrefix(field + ": ") == true)
    }

    @Test func stopStringsAreBounded() throws {
        let many = JSONValue.array(Array(repeating: "s", count: 65))
        let long = JSONValue.string(String(repeating: "é", count: 513))
        for (stop, field) in [(many, "input.stop"), (long, "input.stop"), (.array([long]), "input.stop[0]")] {
            let error = #expect(throws: InputError.self) { try GenerateInput(["prompt": "x", "stop": stop]) }
            #expect(error?.field == field)
        }
    }

    /// What passes here, the engine takes.
    @Test(arguments: [
        #"{"prompt": "x", "top_p": 0.000001, "repetition_penalty": 0.000001}"#,
        #"{"prompt": "x", "temperature": 100, "top_k": 10000000, "min_p": 1, "presence_penalty": 2, "logprobs": 20}"#,
        #"{"prompt": "x", "max_tokens": 1, "seed": -9223372036854775808, "repetition_penalty": 100}"#,
    ])
    func theEdgesOfTheRangesAreValid(text: String) throws {
        try Self.input(text).parameters.validate()
    }
}
