// From a job's input to the tokens of its prompt.
import Foundation
import JSON
import LLMPrompts

struct PromptBuilder {
    let model: ResidentModel

    /// - Parameter createdAt: seconds since 1970 at which the job was inserted: the "now" of templates that print a date,
    ///   so that a job gives the same prompt whenever it runs.
    func tokens(_ input: GenerateInput, createdAt: Double) throws(InputError) -> [Int32] {
        let tokens: [Int32]
        switch input.prompt {
        case .text(let text, raw: true):
            tokens = model.tokenizer.encode(text, addSpecialTokens: true)
        case .text(let text, raw: false) where model.chatTemplate == nil && input.system == nil && input.tools.isEmpty:
            // A base model has no chat; the text is what it is to continue.
            tokens = model.tokenizer.encode(text, addSpecialTokens: true)
        case .text(let text, raw: false):
            tokens = try chat([["role": "user", "content": .string(text)]], "input.prompt", input, createdAt)
        case .messages(let messages):
            tokens = try chat(messages, "input.messages", input, createdAt)
        }
        let context = model.configuration.contextLength
        guard tokens.count < context else {
            let field = if case .text = input.prompt { "input.prompt" } else { "input.messages" }
            throw InputError(
                field: field, reason: "\(tokens.count) tokens leave no room for an answer in a context of \(context)")
        }
        return tokens
    }

    private func chat(
        _ messages: [JSONValue], _ field: String, _ input: GenerateInput, _ createdAt: Double
    ) throws(InputError) -> [Int32] {
        guard let template = model.chatTemplate else {
            throw InputError(
                field: field, reason: "model \(model.name) has no chat template; use prompt with \"raw\": true")
        }
        let system: [JSONValue] = input.system.map { [["role": "system", "content": .string($0)]] } ?? []
        do throws(TemplateError) {
            var chat = try Chat(messages: .array(system + messages), field: field)
            try chat.setTools(input.tools.isEmpty ? nil : .array(input.tools), field: "input.tools")
            chat.beginOfText = piece(model.tokenizer.beginOfText)
            chat.endOfText = piece(model.tokenizer.endOfText)
            let text = try template.render(chat.variables, now: TemplateTime(secondsSince1970: Int64(createdAt)))
            return model.tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw InputError(field: field, reason: "\(error)")
        }
    }

    private func piece(_ token: Int32?) -> String? { token.flatMap { model.tokenizer.text(of: $0) } }
}
