// From input to tokens: which text the model is given, and errors that count as the client does.
import JSON
import LLMPrompts
import LLMTokenizers
import Testing
import TokenizerGoldens

@testable import JobHandlers

@Suite struct PromptBuilderTests {
    private static let chat = """
        {%- for message in messages %}<|im_start|>{{ message.role }}
        {{ message.content }}<|im_end|>
        {% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """

    private let tokenizer: Tokenizer

    init() throws {
        tokenizer = try Tokenizer(
            tokenizerJSON: TokenizerGoldens.file("smollm2/tokenizer.json"),
            configurationJSON: TokenizerGoldens.file("smollm2/tokenizer_config.json"))
    }

    private func builder(_ template: String? = chat, context: Int = 1000) throws -> PromptBuilder {
        PromptBuilder(
            modelName: "m", tokenizer: tokenizer, chatTemplate: try template.map { try ChatTemplate($0) },
            contextLength: context)
    }

    /// The text that the tokens stand for.
    private func text(
        _ builder: PromptBuilder, _ input: JSONValue, createdAt: Double = 0
    ) throws -> String {
        tokenizer.decode(
            try builder.tokens(GenerateInput(input), createdAt: createdAt), skipSpecialTokens: false)
    }

    private func fault(_ builder: PromptBuilder, _ input: JSONValue) throws -> InputError? {
        let input = try GenerateInput(input)
        return #expect(throws: InputError.self) { try builder.tokens(input, createdAt: 0) }
    }

    @Test func rawTextAndBaseModelsGoOnWithTheText() throws {
        let raw: JSONValue = ["prompt": "Once upon a time", "raw": true]
        #expect(try text(builder(), raw) == "Once upon a time")
        #expect(try text(builder(nil), ["prompt": "Once upon a time"]) == "Once upon a time")
    }

    @Test func chatsGoThroughTheTemplate() throws {
        let asked = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
        #expect(try text(builder(), ["prompt": "Why?"]) == asked)
        #expect(try text(builder(), ["messages": [["role": "user", "content": "Why?"]]]) == asked)
        let system = "<|im_start|>system\nBe brief.<|im_end|>\n"
        #expect(try text(builder(), ["prompt": "Why?", "system": "Be brief."]) == system + asked)
        #expect(
            try text(builder(), ["messages": [["role": "user", "content": "Why?"]], "system": "Be brief."])
                == system + asked)
        #expect(try text(builder(), ["prompt": "Why?", "tools": [["name": "f"]]]).contains(#"[{"name": "f"}]"#))
    }

    /// A job gives the same prompt whenever it runs.
    @Test func templatesSeeTheTimeOfTheInsert() throws {
        let dated = try builder("{{ strftime_now('%Y-%m-%d') }} {{ messages[0].content }}")
        #expect(try text(dated, ["prompt": "x"], createdAt: 1_700_000_000.9) == "2023-11-14 x")
    }

    @Test func messagesAreCountedAsTheClientDoes() throws {
        let good: JSONValue = ["role": "user", "content": "x"]
        for system in [JSONValue.null, "Be brief."] {
            let bad: [(JSONValue, String)] = [
                (["role": "user"], "input.messages[1].content"), (["content": "y"], "input.messages[1].role"),
                ([1], "input.messages[1]"),
                (["role": "user", "content": [["type": "text"]]], "input.messages[1].content[0].text"),
            ]
            for (message, field) in bad {
                let error = try fault(builder(), ["messages": .array([good, message]), "system": system])
                #expect(error?.field == field)
                #expect(error?.description.components(separatedBy: "input.").count == 2, "\(error?.description ?? "")")
            }
        }
    }

    @Test func otherFaultsNameTheirFieldToo() throws {
        let tools = try fault(builder(), ["prompt": "x", "tools": [["name": "f"], 5]])
        #expect(tools?.field == "input.tools[1]")
        let messages: JSONValue = ["messages": [["role": "user", "content": "x"]]]
        let noTemplate = try fault(builder(nil), messages)
        #expect(noTemplate?.field == "input.messages")
        #expect(noTemplate?.reason.contains("model m has no chat template") == true)
        #expect(try fault(builder(nil), ["prompt": "x", "system": "s"])?.field == "input.prompt")
        let refusal = try fault(builder("{{ raise_exception('roles must alternate') }}"), messages)
        #expect(refusal?.field == "input.messages")
        #expect(refusal?.reason == "the chat template refuses this chat: roles must alternate")
    }

    @Test func aPromptMustLeaveRoomForAnAnswer() throws {
        let count = tokenizer.encode("Once upon a time", addSpecialTokens: true).count
        let raw: JSONValue = ["prompt": "Once upon a time", "raw": true]
        #expect(try text(builder(context: count + 1), raw) == "Once upon a time")
        let error = try fault(builder(context: count), raw)
        #expect(error?.field == "input.prompt")
        #expect(error?.reason == "\(count) tokens leave no room for an answer in a context of \(count)")
        let chat = try fault(builder(context: 3), ["messages": [["role": "user", "content": "x"]]])
        #expect(chat?.field == "input.messages")
    }
}
