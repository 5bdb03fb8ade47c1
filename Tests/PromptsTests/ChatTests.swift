import JSON
import LLMPrompts
import Testing

@Suite struct ChatTests {
    @Test(arguments: [
        ("null", "m", "array"), ("{}", "m", "array"), ("[]", "m", "at least one"), ("[5]", "m[0]", "object"),
        (#"[{"content":"a"}]"#, "m[0].role", "missing"), (#"[{"role":1,"content":"a"}]"#, "m[0].role", "string"),
        (#"[{"role":"","content":"a"}]"#, "m[0].role", "empty"), (#"[{"role":"user"}]"#, "m[0].content", "missing"),
        (#"[{"role":"user","content":"a"},{"role":"user","content":null}]"#, "m[1].content", "null"),
        (#"[{"role":"user","content":5}]"#, "m[0].content", "number"),
        (#"[{"role":"user","content":{}}]"#, "m[0].content", "object"),
        (#"[{"role":"user","content":["a"]}]"#, "m[0].content[0]", "string"),
        (#"[{"role":"user","content":[{"text":"a"}]}]"#, "m[0].content[0].type", "string"),
        (
            #"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text"}]}]"#, "m[0].content[1].text",
            "string"
        ),
        (#"[{"role":"assistant","content":null,"tool_calls":[]}]"#, "m[0].content", "null"),
        (#"[{"role":"assistant","content":null,"tool_calls":{}}]"#, "m[0].tool_calls", "array"),
        (#"[{"role":"assistant","content":null,"tool_calls":[1]}]"#, "m[0].tool_calls[0]", "object"),
        (#"[{"role":"assistant","tool_calls":[{"function":1}]}]"#, "m[0].tool_calls[0].function", "object"),
        (#"[{"role":"assistant","tool_calls":[{"function":{}}]}]"#, "m[0].tool_calls[0].function.name", "string"),
        (#"[{"role":"assistant","tool_calls":[{"id":"x"}]}]"#, "m[0].tool_calls[0].name", "string"),
    ])
    func namesTheFieldThatIsWrong(text: String, field: String, reason: String) throws {
        let messages = try JSONValue(parsing: text)
        let error = try #require(throws: TemplateError.self) { try Chat(messages: messages, field: "m") }
        guard case .invalidChat(let where_, let why) = error else { throw error }
        #expect(where_ == field && why.contains(reason), "\(error)")
        #expect(error.description == "\(where_): \(why)")
    }

    @Test func namesOtherFieldsThatAreWrong() throws {
        var chat = try Chat(messages: [["role": "user", "content": "a"]])
        #expect(throws: TemplateError.invalidChat(field: "messages", reason: "is missing")) { try Chat(messages: nil) }
        #expect(throws: TemplateError.invalidChat(field: "tools", reason: "must be an array, not string")) {
            try chat.setTools("x")
        }
        #expect(throws: TemplateError.invalidChat(field: "tools[1]", reason: "must be an object, not number")) {
            try chat.setTools([[:], 1])
        }
        #expect(throws: TemplateError.invalidChat(field: "docs[0]", reason: "must be an object, not null")) {
            try chat.setDocuments([nil], field: "docs")
        }
        #expect(throws: TemplateError.invalidChat(field: "k", reason: "must be an object, not array")) {
            try chat.setExtra([], field: "k")
        }
        #expect(throws: TemplateError.self) { try chat.setExtra(["messages": []]) }
    }

    @Test func givesTheVariablesThatTemplatesExpect() throws {
        var chat = try Chat(messages: [
            ["role": "user", "content": [["type": "text", "text": "a"]]],
            [
                "role": "assistant", "content": nil, "reasoning": "hm",
                "tool_calls": [
                    ["id": "1", "function": ["name": "f", "arguments": "{\"x\": 1}"]],
                    ["name": "g", "arguments": "not an object"],
                ],
            ],
        ])
        try chat.setTools([])
        try chat.setExtra(["bos_token": "<other>", "enable_thinking": false])
        chat.beginOfText = "<s>"
        chat.addGenerationPrompt = false
        let variables = chat.variables
        #expect(variables["tools"] == .null && variables["documents"] == .null && variables["eos_token"] == nil)
        #expect(variables["add_generation_prompt"] == false && variables["enable_thinking"] == false)
        #expect(variables["bos_token"] == "<other>")
        #expect(variables["messages"]?.arrayValue?.first?["content"] == [["type": "text", "text": "a"]])
        let answer = try #require(variables["messages"]?.arrayValue?.last)
        #expect(answer["tool_calls"]?.arrayValue?[0]["function"]?["arguments"] == ["x": 1])
        #expect(answer["tool_calls"]?.arrayValue?[1]["arguments"] == "not an object")
        #expect(answer["reasoning_content"] == "hm" && answer["thinking"] == "hm")
    }

    @Test func rendersBuiltInTemplates() throws {
        var chat = try Chat(messages: [
            ["role": "system", "content": "Be brief."],
            [
                "role": "user",
                "content": [["type": "text", "text": "a"], ["type": "image"], ["type": "text", "text": "b"]],
            ],
            ["role": "assistant", "content": nil, "tool_calls": [["name": "f"]]],
        ])
        let chatML = try ChatTemplate.choose(named: "chatml", own: "unused", model: "m")
        #expect(
            try chatML.render(chat.variables, now: Goldens.now)
                == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nab<|im_end|>\n"
                + "<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n")
        chat.beginOfText = "<s>"
        let plain = try ChatTemplate.choose(named: "plain", own: nil, model: "m")
        #expect(try plain.render(chat.variables, now: Goldens.now) == "<s>Be brief.\nab\n")
        chat.addGenerationPrompt = false
        #expect(try chatML.render(chat.variables, now: Goldens.now).hasSuffix("assistant\n<|im_end|>\n"))
    }

    @Test func choosesATemplate() throws {
        let own = try ChatTemplate.choose(named: nil, own: "{{ messages|length }}{{ tools }}", model: "m")
        #expect(own.mentions("tools") && !own.mentions("documents"))
        #expect(try own.render(["messages": [1]], now: Goldens.now) == "1")
        let none = try #require(throws: TemplateError.self) {
            try ChatTemplate.choose(named: nil, own: nil, model: "base")
        }
        #expect(
            none.description.contains("\"base\" has no chat template") && none.description.contains("chatml, plain"))
        #expect(throws: TemplateError.self) { try ChatTemplate.choose(named: "nosuch", own: "x", model: "m") }
        #expect(throws: TemplateError.self) { try ChatTemplate.choose(named: nil, own: "{% if", model: "m") }
    }
}
