// From a job's input to the tokens of its prompt.
import Foundation
import JSON
import LLMPrompts
import LLMTokenizers

struct PromptBuilder {
    /// As registered, for messages.
    let modelName: String
    let tokenizer: Tokenizer
    /// Nil for a model without one.
    let chatTemplate: ChatTemplate?
    let contextLength: Int

    /// - Parameter createdAt: seconds since 1970 at which the job was inserted: the "now" of templates that print a date,
    ///   so that a job gives the same prompt whenever it runs.
    func tokens(_ input: GenerateInput, createdAt: Double) throws(InputError) -> [Int32] {
        let tokens: [Int32]
        switch input.prompt {
        case .text(let text, raw: true):
            tokens = tokenizer.encode(text, addSpecialTokens: true)
        case .text(let text, raw: false) where chatTemplate == nil && input.system == nil && input.tools.isEmpty:
            // A base model has no chat; the text is what it is to continue.
            tokens = tokenizer.encode(text, addSpecialTokens: true)
        case .text(let text, raw: false):
            tokens = try chat([["role": "user", "content": .string(text)]], "input.prompt", input, createdAt)
        case .messages(let messages):
            tokens = try chat(messages, "input.messages", input, createdAt)
        }
        guard tokens.count < contextLength else {
            let field = if case .text = input.prompt { "input.prompt" } else { "input.messages" }
            throw InputError(
                field: field,
                reason: "\(tokens.count) tokens leave no room for an answer in a context of \(contextLength)")
        }
        return tokens
    }

    private func chat(
        _ messages: [JSONValue], _ field: String, _ input: GenerateInput, _ createdAt: Double
    ) throws(InputError) -> [Int32] {
        let text = try text(
            of: messages, field, system: input.system, tools: input.tools, createdAt: createdAt)
        return tokenizer.encode(text, addSpecialTokens: false)
    }

    /// The text of a chat, with the opening of the assistant's turn.
    /// - Parameter field: where the messages stand.
    func text(
        of messages: [JSONValue], _ field: String, system: String? = nil, tools: [JSONValue] = [], createdAt: Double
    ) throws(InputError) -> String {
        guard let template = chatTemplate else {
            throw InputError(
                field: field, reason: "model \(modelName) has no chat template; use prompt with \"raw\": true")
        }
        let system: [JSONValue] = system.map { [["role": "system", "content": .string($0)]] } ?? []
        do throws(TemplateError) {
            // The client's messages alone first, so that an error counts them as the client does.
            var chat = try Chat(messages: .array(messages), field: field)
            if !system.isEmpty { chat = try Chat(messages: .array(system + chat.messages)) }
            try chat.setTools(tools.isEmpty ? nil : .array(tools), field: "input.tools")
            chat.beginOfText = piece(tokenizer.beginOfText)
            chat.endOfText = piece(tokenizer.endOfText)
            return try template.render(chat.variables, now: TemplateTime(secondsSince1970: Int64(createdAt)))
        } catch {
            if case .invalidChat(let field, let reason) = error { throw InputError(field: field, reason: reason) }
            throw InputError(field: field, reason: "\(error)")
        }
    }

    private func piece(_ token: Int32?) -> String? { token.flatMap { tokenizer.text(of: $0) } }
}

extension PromptBuilder {
    init(model: ResidentModel) {
        self.init(
            modelName: model.name, tokenizer: model.tokenizer, chatTemplate: model.chatTemplate,
            contextLength: model.configuration.contextLength)
    }
}
