// Bodies of OpenAI's requests as inputs of jobs. What can't be kept is refused: an answer that is not what was asked for is
// worse than none.
import JSON
import OrderedCollections

struct RequestBody {
    private var members: OrderedDictionary<String, JSONValue>
    private var input: OrderedDictionary<String, JSONValue> = [:]

    /// Fields that change nothing in an answer.
    private static let ignored: Set<String> = [
        "user", "metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier", "parallel_tool_calls",
    ]
    private static let sampling = ["temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop"]

    /// - Parameter body: an object; explicit nulls are as good as nothing.
    init(_ body: JSONValue) {
        members = (body.objectValue ?? [:]).filter { $0.value != .null && !Self.ignored.contains($0.key) }
    }

    mutating func model() throws(BatchLineError) -> String? {
        guard let value = take("model") else { return nil }
        guard let name = value.stringValue, !name.isEmpty else { throw invalid("model", "must be a name") }
        return name
    }

    mutating func chat() throws(BatchLineError) -> JSONValue {
        guard let messages = take("messages") else { throw missing("messages") }
        guard let list = messages.arrayValue, !list.isEmpty else {
            throw invalid("messages", "must be an array that is not empty")
        }
        input["messages"] = .array(
            try list.enumerated().map { number, message throws(BatchLineError) in
                try Self.message(message, number)
            })
        let (old, new) = (take("max_tokens"), take("max_completion_tokens"))
        input["max_tokens"] = new ?? old
        try copySampling()
        if let wanted = take("logprobs") {
            guard let isWanted = wanted.boolValue else { throw invalid("logprobs", "must be a boolean") }
            let top = take("top_logprobs")
            if isWanted { input["logprobs"] = top ?? 0 }
        } else if take("top_logprobs") != nil {
            throw invalid("top_logprobs", "goes with logprobs: true")
        }
        if let format = take("response_format") { input["response_format"] = format }
        let tools = take("tools")
        switch take("tool_choice")?.stringValue {
        case nil where members["tool_choice"] == nil, "auto": if let tools { input["tools"] = tools }
        case "none": break
        default: throw invalid("tool_choice", "only auto and none are supported")
        }
        return try finish()
    }

    /// The system's newer name is the older one to every template.
    private static func message(_ message: JSONValue, _ number: Int) throws(BatchLineError) -> JSONValue {
        guard case .object(var members) = message else {
            throw BatchLineError(.invalid, "body.messages[\(number)]", "must be an object, is \(message.typeName)")
        }
        guard let role = members["role"]?.stringValue else {
            throw BatchLineError(.missing, "body.messages[\(number)].role", "missing")
        }
        if role == "developer" { members["role"] = "system" }
        return .object(members)
    }

    mutating func completion() throws(BatchLineError) -> JSONValue {
        guard let prompt = take("prompt") else { throw missing("prompt") }
        guard let text = prompt.stringValue, !text.isEmpty else {
            throw invalid("prompt", "must be a string that is not empty: a batch line is one request")
        }
        input["prompt"] = prompt
        input["raw"] = true
        input["max_tokens"] = take("max_tokens") ?? 16
        try copySampling()
        if let logprobs = take("logprobs") { input["logprobs"] = logprobs }
        try expect("echo", false)
        try expect("best_of", 1)
        return try finish()
    }

    mutating func embedding() throws(BatchLineError) -> JSONValue {
        guard let texts = take("input") else { throw missing("input") }
        let isText = texts.stringValue != nil
        guard isText || texts.arrayValue.map({ !$0.isEmpty && $0.allSatisfy { $0.stringValue != nil } }) == true else {
            throw invalid("input", "must be a string or an array of strings")
        }
        input["input"] = texts
        if let format = take("encoding_format"), format != "float" {
            throw invalid("encoding_format", "must be float")
        }
        return try finish()
    }

    // MARK: Parts

    private mutating func copySampling() throws(BatchLineError) {
        // OpenAI's default; a job's own is 0.
        input["temperature"] = 1.0
        for name in Self.sampling { if let value = take(name) { input[name] = value } }
        try expect("n", 1)
        try expect("stream", false)
    }

    /// A field that may only say what happens anyway.
    private mutating func expect(_ name: String, _ only: JSONValue) throws(BatchLineError) {
        guard let value = take(name), value != only else { return }
        throw invalid(name, "only \(only.text()) is supported")
    }

    private func finish() throws(BatchLineError) -> JSONValue {
        if let name = members.keys.first { throw invalid(name, "not supported") }
        return .object(input)
    }

    private mutating func take(_ name: String) -> JSONValue? { members.removeValue(forKey: name) }
    private func missing(_ name: String) -> BatchLineError { BatchLineError(.missing, "body.\(name)", "missing") }
    private func invalid(_ name: String, _ reason: String) -> BatchLineError {
        BatchLineError(.invalid, "body.\(name)", reason)
    }
}
