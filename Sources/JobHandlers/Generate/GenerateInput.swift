// The `input` of a generate job. The database checks the same fields at INSERT, so that a bad job never enters; this
// check stands behind it for what a database can't know and for stores without triggers.
import JSON
import LLMInference

/// What a client asks for; defaults as documented in `docs/jobs.md`.
package struct GenerateInput: Sendable {
    package enum Prompt: Sendable {
        /// One message of a user, or with `raw` the text that the model is to continue.
        case text(String, raw: Bool)
        case messages([JSONValue])
    }

    package var prompt: Prompt
    package var system: String?
    package var tools: [JSONValue]
    package var parameters: SamplingParameters
    /// What the text must satisfy.
    package var constraint: Constraint?
}

extension GenerateInput {
    package init(_ value: JSONValue) throws(InputError) {
        let fields = try FieldReader(value, known: Self.fields)
        prompt = try Self.prompt(fields)
        system = try fields.string("system")
        tools = try fields.array("tools") ?? []
        if case .text(_, raw: true) = prompt, system != nil || !tools.isEmpty {
            throw InputError(field: "input.raw", reason: "leaves no place for system and tools")
        }
        var sampling = SamplingParameters()
        sampling.maximumTokens = try fields.integer("max_tokens", 1...1_000_000) ?? 256
        sampling.temperature = try fields.number("temperature", 0...100) ?? 0
        sampling.topK = try fields.integer("top_k", 0...10_000_000) ?? 0
        sampling.topP = try fields.number("top_p", Self.leastPositive...1) ?? 1
        sampling.minP = try fields.number("min_p", 0...1) ?? 0
        sampling.repetitionPenalty = try fields.number("repetition_penalty", Self.leastPositive...100) ?? 1
        sampling.presencePenalty = try fields.number("presence_penalty", -2...2) ?? 0
        sampling.frequencyPenalty = try fields.number("frequency_penalty", -2...2) ?? 0
        sampling.seed = UInt64(bitPattern: Int64(try fields.integer("seed", Int.min...Int.max) ?? 0))
        sampling.stop = try Self.stop(fields)
        sampling.logprobs = try fields.logprobs()
        sampling.ignoreEndOfText = try fields.bool("ignore_eos") ?? false
        parameters = sampling
        constraint = try Constraint(fields)
        if let constraint { try constraint.refuseOtherEnds(sampling) }
    }

    /// Stands for "more than 0"; the same number is in millrace.generate_error.
    private static let leastPositive = 0.000001

    private static let fields: Set<String> = [
        "prompt", "messages", "raw", "system", "tools", "max_tokens", "temperature", "top_k", "top_p", "min_p",
        "repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "stop", "logprobs", "ignore_eos",
        "response_format", "structured_outputs",
    ]

    private static func prompt(_ fields: FieldReader) throws(InputError) -> Prompt {
        let text = try fields.string("prompt")
        let messages = try fields.array("messages")
        let raw = try fields.bool("raw") ?? false
        switch (text, messages) {
        case (let text?, nil):
            guard !text.isEmpty else { throw InputError(field: "input.prompt", reason: "must not be empty") }
            return .text(text, raw: raw)
        case (nil, let messages?):
            guard !raw else { throw InputError(field: "input.raw", reason: "goes with prompt, not with messages") }
            guard !messages.isEmpty else { throw InputError(field: "input.messages", reason: "must not be empty") }
            return .messages(messages)
        case (nil, nil):
            throw InputError(field: "input.prompt", reason: "missing: a job needs prompt or messages")
        case (_?, _?):
            throw InputError(field: "input.messages", reason: "a job has either prompt or messages, not both")
        }
    }

    private static func stop(_ fields: FieldReader) throws(InputError) -> [String] {
        if let text = fields.members["stop"]?.stringValue {
            guard let text = checkedStop(text) else { throw InputError(field: "input.stop", reason: stopReason) }
            return [text]
        }
        let elements = try fields.array("stop") ?? []
        guard elements.count <= SamplingParameters.maximumStops else {
            throw InputError(field: "input.stop", reason: "at most \(SamplingParameters.maximumStops) strings")
        }
        var strings: [String] = []
        for (index, element) in elements.enumerated() {
            guard let text = element.stringValue.flatMap(checkedStop) else {
                throw InputError(field: "input.stop[\(index)]", reason: stopReason)
            }
            strings.append(text)
        }
        return strings
    }

    private static let stopReason = "must be a string of 1 to \(SamplingParameters.maximumStopBytes) bytes"

    private static func checkedStop(_ text: String) -> String? {
        (1...SamplingParameters.maximumStopBytes).contains(text.utf8.count) ? text : nil
    }
}
