// A chat as clients send it, checked, and as the variables that chat templates expect. The names and shapes are those of
// transformers' `apply_chat_template` and of the message objects of the OpenAI API.
import JSON
import OrderedCollections

package struct Chat: Sendable, Equatable {
    package let messages: [JSONValue]
    /// Function schemas; nil and empty both mean that there are none.
    package var tools: [JSONValue]?
    /// Texts to answer from, for templates that know them.
    package var documents: [JSONValue]?
    /// Ends the prompt with the opening of the assistant's turn.
    package var addGenerationPrompt = true
    package var beginOfText: String?
    package var endOfText: String?
    /// Further variables such as `enable_thinking`; they win over the token texts.
    package var extra: OrderedDictionary<String, JSONValue> = [:]

    /// - Parameter field: where the messages stand in the caller's input, for errors such as
    ///   `messages[2].content: …`.
    package init(messages: JSONValue?, field: String = "messages") throws(TemplateError) {
        guard let messages else { throw Self.invalid(field, "is missing") }
        guard let array = messages.arrayValue else {
            throw Self.invalid(field, "must be an array of messages, not \(messages.typeName)")
        }
        guard !array.isEmpty else { throw Self.invalid(field, "must hold at least one message") }
        var checked: [JSONValue] = []
        for (index, message) in array.enumerated() { checked.append(try Self.message(message, "\(field)[\(index)]")) }
        self.messages = checked
    }

    /// Sets the tools from an optional array of objects.
    package mutating func setTools(_ value: JSONValue?, field: String = "tools") throws(TemplateError) {
        tools = try Self.objects(value, field)
    }

    /// Sets the documents from an optional array of objects.
    package mutating func setDocuments(_ value: JSONValue?, field: String = "documents") throws(TemplateError) {
        documents = try Self.objects(value, field)
    }

    /// Sets the further variables from an optional object.
    package mutating func setExtra(
        _ value: JSONValue?, field: String = "chat_template_kwargs"
    ) throws(TemplateError) {
        extra = [:]
        guard let value, value != .null else { return }
        guard let members = value.objectValue else {
            throw Self.invalid(field, "must be an object, not \(value.typeName)")
        }
        for name in members.keys where Self.ownNames.contains(name) {
            throw Self.invalid("\(field).\(name)", "has a field of its own and cannot be set here")
        }
        extra = members
    }

    private static let ownNames: Set<String> = ["messages", "tools", "documents", "add_generation_prompt"]

    /// The variables for `ChatTemplate.render`.
    package var variables: OrderedDictionary<String, JSONValue> {
        var variables: OrderedDictionary<String, JSONValue> = [
            "messages": .array(messages),
            "tools": Self.orNull(tools),
            "documents": Self.orNull(documents),
            "add_generation_prompt": .bool(addGenerationPrompt),
        ]
        if let beginOfText { variables["bos_token"] = .string(beginOfText) }
        if let endOfText { variables["eos_token"] = .string(endOfText) }
        variables.merge(extra) { $1 }
        return variables
    }

    private static func orNull(_ values: [JSONValue]?) -> JSONValue {
        if let values, !values.isEmpty { .array(values) } else { .null }
    }

    // MARK: Messages

    private static func invalid(_ field: String, _ reason: String) -> TemplateError {
        .invalidChat(field: field, reason: reason)
    }

    private static func message(_ value: JSONValue, _ field: String) throws(TemplateError) -> JSONValue {
        guard var members = value.objectValue else {
            throw invalid(field, "must be an object with role and content, not \(value.typeName)")
        }
        guard let role = members["role"] else { throw invalid("\(field).role", "is missing") }
        guard let name = role.stringValue else {
            throw invalid("\(field).role", "must be a string, not \(role.typeName)")
        }
        guard !name.isEmpty else { throw invalid("\(field).role", "must not be empty") }
        if let calls = members["tool_calls"], calls != .null {
            members["tool_calls"] = try toolCalls(calls, "\(field).tool_calls")
        }
        try checkContent(members, "\(field).content")
        return .object(withReasoning(members))
    }

    private static func checkContent(
        _ members: OrderedDictionary<String, JSONValue>, _ field: String
    ) throws(TemplateError) {
        switch members["content"] {
        case .string: return
        case nil, .null:
            let saysOtherwise = ["tool_calls", "function_call", "reasoning_content", "thinking", "reasoning"].contains {
                members[$0] != nil && members[$0] != .null && members[$0] != []
            }
            guard saysOtherwise else {
                throw invalid(field, members["content"] == nil ? "is missing" : "may be null only beside tool_calls")
            }
        case .array(let parts):
            for (index, part) in parts.enumerated() {
                let place = "\(field)[\(index)]"
                guard part.objectValue != nil else {
                    throw invalid(
                        place, "must be an object such as {\"type\": \"text\", \"text\": …}, not \(part.typeName)")
                }
                guard let type = part["type"]?.stringValue else { throw invalid("\(place).type", "must be a string") }
                if type == "text", part["text"]?.stringValue == nil {
                    throw invalid("\(place).text", "must be a string")
                }
            }
        case .some(let other):
            throw invalid(field, "must be a string, an array of parts or null, not \(other.typeName)")
        }
    }

    /// The API sends the arguments of a call as JSON text, templates expect them as an object.
    private static func toolCalls(_ value: JSONValue, _ field: String) throws(TemplateError) -> JSONValue {
        guard let calls = value.arrayValue else { throw invalid(field, "must be an array, not \(value.typeName)") }
        var result: [JSONValue] = []
        for (index, call) in calls.enumerated() {
            let place = "\(field)[\(index)]"
            guard var members = call.objectValue else {
                throw invalid(place, "must be an object, not \(call.typeName)")
            }
            if let function = members["function"] {
                guard let parts = function.objectValue else {
                    throw invalid("\(place).function", "must be an object, not \(function.typeName)")
                }
                members["function"] = .object(try withArguments(parts, "\(place).function"))
            } else {
                members = try withArguments(members, place)
            }
            result.append(.object(members))
        }
        return .array(result)
    }

    private static func withArguments(
        _ members: OrderedDictionary<String, JSONValue>, _ field: String
    ) throws(TemplateError) -> OrderedDictionary<String, JSONValue> {
        guard members["name"]?.stringValue != nil else { throw invalid("\(field).name", "must be a string") }
        guard let text = members["arguments"]?.stringValue, let value = try? JSONValue(parsing: text),
            value.objectValue != nil
        else { return members }
        var members = members
        members["arguments"] = value
        return members
    }

    /// Reasoning has had several names; templates read `reasoning_content`, some `thinking`.
    private static func withReasoning(
        _ members: OrderedDictionary<String, JSONValue>
    ) -> OrderedDictionary<String, JSONValue> {
        let names = ["reasoning_content", "thinking", "reasoning"]
        guard let reasoning = names.lazy.compactMap({ members[$0] }).first(where: { $0 != .null }) else {
            return members
        }
        var members = members
        if members["thinking"] == nil { members["thinking"] = reasoning }
        members["reasoning_content"] = reasoning
        return members
    }

    private static func objects(_ value: JSONValue?, _ field: String) throws(TemplateError) -> [JSONValue]? {
        guard let value, value != .null else { return nil }
        guard let array = value.arrayValue else { throw invalid(field, "must be an array, not \(value.typeName)") }
        for (index, element) in array.enumerated() where element.objectValue == nil {
            throw invalid("\(field)[\(index)]", "must be an object, not \(element.typeName)")
        }
        return array
    }
}
