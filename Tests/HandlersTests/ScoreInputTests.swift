// What score and embed jobs may say, and that every error names its field.
import JSON
import JobModel
import LLMInference
import Testing

@testable import JobHandlers

@Suite struct ScoreInputTests {
    private static func score(_ text: String) throws -> ScoreInput { try ScoreInput(JSONValue(parsing: text)) }
    private static func embed(_ text: String) throws -> EmbedInput { try EmbedInput(JSONValue(parsing: text)) }

    @Test func everyFieldArrives() throws {
        let choices = try Self.score(#"{"prompt": "a", "continuations": ["b", " c"], "logprobs": 3, "text": null}"#)
        guard case .continuations(["b", " c"], .text("a")) = choices.question else {
            Issue.record("\(choices.question)")
            return
        }
        #expect(choices.logprobs == 3)
        let chat = try Self.score(#"{"messages": [{"role": "user", "content": "x"}], "continuations": ["b"]}"#)
        guard case .continuations(["b"], .messages(let messages)) = chat.question else {
            Issue.record("\(chat.question)")
            return
        }
        #expect(messages.count == 1 && chat.logprobs == -1)
        let text = try Self.score(#"{"text": "a b", "window": 8, "stride": 4, "logprobs": true, "prompt": null}"#)
        guard case .text("a b", window: 8, stride: 4) = text.question else {
            Issue.record("\(text.question)")
            return
        }
        #expect(text.logprobs == 0)
        let one = try Self.embed(#"{"input": "a"}"#)
        #expect(one.texts == ["a"] && one.isOne && one.pooling == .mean && one.normalizes)
        let two = try Self.embed(#"{"input": ["a", "b"], "pooling": "last", "normalize": false}"#)
        #expect(two.texts == ["a", "b"] && !two.isOne && two.pooling == .last && !two.normalizes)
        #expect(one.field(0) == "input.input" && two.field(1) == "input.input[1]")
    }

    @Test(arguments: [
        (#"[]"#, "input"), (#"{}"#, "input.continuations"), (#"{"prompt":"a"}"#, "input.continuations"),
        (#"{"continuations":["b"]}"#, "input.prompt"), (#"{"prompt":1,"continuations":["b"]}"#, "input.prompt"),
        (#"{"prompt":"a","continuations":"b"}"#, "input.continuations"),
        (#"{"prompt":"a","continuations":[]}"#, "input.continuations"),
        (#"{"prompt":"a","continuations":["b",""]}"#, "input.continuations[1]"),
        (#"{"prompt":"a","continuations":["b",2]}"#, "input.continuations[1]"),
        (#"{"messages":[],"continuations":["b"]}"#, "input.messages"),
        (#"{"prompt":"a","messages":[{"role":"user"}],"continuations":["b"]}"#, "input.messages"),
        (#"{"text":""}"#, "input.text"), (#"{"text":["a"]}"#, "input.text"),
        (#"{"text":"a","prompt":"b"}"#, "input.prompt"),
        (#"{"text":"a","continuations":["b"]}"#, "input.continuations"),
        (#"{"prompt":"a","continuations":["b"],"window":8}"#, "input.window"),
        (#"{"text":"a","window":1}"#, "input.window"), (#"{"text":"a","stride":0}"#, "input.stride"),
        (#"{"text":"a","window":8,"stride":9}"#, "input.stride"), (#"{"text":"a","logprobs":21}"#, "input.logprobs"),
        (#"{"text":"a","max_tokens":5}"#, "input.max_tokens"),
    ])
    func scoreErrorsNameTheirField(text: String, field: String) {
        let error = #expect(throws: InputError.self) { try Self.score(text) }
        #expect(error?.field == field, "\(String(describing: error))")
    }

    @Test(arguments: [
        (#"{}"#, "input.input"), (#"{"input":""}"#, "input.input"), (#"{"input":[]}"#, "input.input"),
        (#"{"input":5}"#, "input.input"), (#"{"input":["a",""]}"#, "input.input[1]"),
        (#"{"input":["a",null]}"#, "input.input[1]"), (#"{"input":"a","pooling":"max"}"#, "input.pooling"),
        (#"{"input":"a","normalize":"yes"}"#, "input.normalize"),
        (#"{"input":"a","dimensions":5}"#, "input.dimensions"),
    ])
    func embedErrorsNameTheirField(text: String, field: String) {
        let error = #expect(throws: InputError.self) { try Self.embed(text) }
        #expect(error?.field == field, "\(String(describing: error))")
    }

    @Test func vectorsHaveFewDigits() {
        #expect(Float(0.1).asShortDouble == 0.1)
        for bits in stride(from: UInt32(0), through: 0x7F00_0000, by: 0x10_0357) {
            let value = Float(bitPattern: bits)
            #expect(Float(value.asShortDouble) == value)
        }
    }

    // MARK: Windows

    private func windows(_ count: Int, _ window: Int, _ stride: Int? = nil, hasFirst: Bool) -> [[Int]] {
        TextWindows(tokens: count, window: window, stride: stride, hasFirst: hasFirst).windows.map {
            [$0.tokens.lowerBound, $0.tokens.upperBound, $0.scored.lowerBound, $0.scored.upperBound]
        }
    }

    @Test func windowsCoverATextOnce() {
        // Without a begin-of-text token the first token of each window has nothing before it.
        #expect(windows(10, 4, hasFirst: false) == [[0, 4, 1, 4], [4, 8, 5, 8], [8, 10, 9, 10]])
        #expect(windows(9, 4, hasFirst: false) == [[0, 4, 1, 4], [4, 8, 5, 8]])
        #expect(windows(10, 5, hasFirst: true) == [[0, 4, 0, 4], [4, 8, 4, 8], [8, 10, 8, 10]])
        // With a stride they overlap, and each token is scored once, by the first window that has it.
        #expect(windows(10, 4, 2, hasFirst: false) == [[0, 4, 1, 4], [2, 6, 4, 6], [4, 8, 6, 8], [6, 10, 8, 10]])
        #expect(windows(5, 4, 1, hasFirst: true) == [[0, 3, 0, 3], [1, 4, 3, 4], [2, 5, 4, 5]])
        #expect(windows(3, 100, hasFirst: false) == [[0, 3, 1, 3]])
        #expect(windows(1, 100, hasFirst: false) == [] && windows(1, 100, hasFirst: true) == [[0, 1, 0, 1]])
        #expect(windows(4, 2, 2, hasFirst: true) == [[0, 1, 0, 1], [1, 2, 1, 2], [2, 3, 2, 3], [3, 4, 3, 4]])
    }

    @Test func everyTokenIsScoredAtMostOnce() {
        for count in 1...40 {
            for window in 2...12 {
                for stride in 1...window {
                    for hasFirst in [false, true] {
                        let all = TextWindows(tokens: count, window: window, stride: stride, hasFirst: hasFirst)
                        let scored = all.windows.flatMap { Array($0.scored) }
                        #expect(scored == scored.sorted() && Set(scored).count == scored.count)
                        #expect(scored.count == count - (hasFirst ? 0 : 1) || (stride == window && !hasFirst))
                        for part in all.windows {
                            #expect(part.tokens.count + (hasFirst ? 1 : 0) <= window)
                            #expect(part.scored.upperBound == part.tokens.upperBound)
                        }
                    }
                }
            }
        }
    }
}
