// Lines of batch files: what they become, and what is refused by which field.
import JSON
import JobModel
import OpenAIFormat
import TestSupport
import Testing

@Suite struct BatchLineTests {
    private static func line(_ body: String, url: String = "/v1/chat/completions") -> [UInt8] {
        Array(#"{"custom_id": "a", "method": "POST", "url": "\#(url)", "body": \#(body)}"#.utf8)
    }

    @Test func chatsBecomeGenerateJobs() throws {
        let body = #"""
            {"model": "m", "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
             "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "stop": ["x"], "seed": 3, "logprobs": true,
             "top_logprobs": 2, "n": 1, "stream": false, "user": "u", "metadata": {"a": "b"}, "tools": null,
             "response_format": {"type": "json_object"}}
            """#
        let line = try BatchLine(parsing: Self.line(body.replacing("\n", with: " ")))
        #expect(line.customID == "a" && line.kind == .generate && line.model == "m")
        #expect(
            line.input == [
                "messages": [["role": "system", "content": "Be brief."], ["role": "user", "content": "Hi"]],
                "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["x"], "logprobs": 2,
                "response_format": ["type": "json_object"],
            ])
    }

    @Test func otherEndpoints() throws {
        let text = try BatchLine(parsing: Self.line(#"{"model": "m", "prompt": "One,"}"#, url: "/v1/completions"))
        #expect(
            text.kind == .generate
                && text.input == ["prompt": "One,", "raw": true, "max_tokens": 16, "temperature": 1.0])
        let vectors = try BatchLine(
            parsing: Self.line(
                #"{"model": "m", "input": ["a", "b"], "encoding_format": "float"}"#, url: "/v1/embeddings"),
            model: "other")
        #expect(vectors.kind == .embed && vectors.model == "other" && vectors.input == ["input": ["a", "b"]])
    }

    @Test(arguments: [
        ("", "", BatchLineError.Code.invalidJSON), ("[1]", "", .invalidJSON), ("{", "", .invalidJSON),
        (#"{"method": "POST"}"#, "custom_id", .missing), (#"{"custom_id": 7}"#, "custom_id", .invalid),
        (#"{"custom_id": ""}"#, "custom_id", .invalid), (#"{"custom_id": "a"}"#, "method", .missing),
        (#"{"custom_id": "a", "method": "GET"}"#, "method", .invalid),
        (#"{"custom_id": "a", "method": "POST"}"#, "url", .missing),
        (#"{"custom_id": "a", "method": "POST", "url": "/v1/images"}"#, "url", .invalid),
        (#"{"custom_id": "a", "method": "POST", "url": "/v1/completions"}"#, "body", .missing),
        (#"{"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": 1}"#, "body", .invalid),
        (#"{"custom_id": "a", "more": 1}"#, "more", .invalid),
    ])
    func refusesBrokenLines(text: String, field: String, code: BatchLineError.Code) {
        let error = #expect(throws: BatchLineError.self) { _ = try BatchLine(parsing: Array(text.utf8)) }
        #expect(error?.field == field && error?.code == code, "\(text): \(String(describing: error))")
    }

    @Test(arguments: [
        (#"{"messages": []}"#, "body.model"), (#"{"model": "m"}"#, "body.messages"),
        (#"{"model": "m", "messages": []}"#, "body.messages"),
        (#"{"model": "m", "messages": [1]}"#, "body.messages[0]"),
        (#"{"model": "m", "messages": [{"content": "x"}]}"#, "body.messages[0].role"),
        (#"{"model": "", "messages": [{"role": "user", "content": "x"}]}"#, "body.model"),
        (#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 2}"#, "body.n"),
        (#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": true}"#, "body.stream"),
        (#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "logit_bias": {}}"#, "body.logit_bias"),
        (#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "top_logprobs": 1}"#, "body.top_logprobs"),
        (
            #"{"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": "required"}"#,
            "body.tool_choice"
        ),
    ])
    func refusesWhatCannotBeKept(body: String, field: String) {
        let error = #expect(throws: BatchLineError.self) { _ = try BatchLine(parsing: Self.line(body)) }
        #expect(error?.field == field, "\(body): \(String(describing: error))")
    }

    /// Whatever bytes a line has, it is a job or an error.
    @Test func survivesBrokenBytes() {
        let seed = UInt64.random(in: 0 ... .max)
        print("batch lines: seed \(seed)")
        var random = SeededRandom(seed: seed)
        let good = Self.line(
            #"{"model": "m", "messages": [{"role": "user", "content": "Ünï"}], "seed": 1e3, "stop": ["\u00e9"]}"#)
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[place] = .random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: bytes.indices, using: &random)], at: place)
                }
            }
            if (try? BatchLine(parsing: bytes)) != nil { accepted += 1 }
        }
        #expect(accepted > 1000 && accepted < 19_000)
    }
}
