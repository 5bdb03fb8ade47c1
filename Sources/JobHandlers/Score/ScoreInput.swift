// The `input` of a score job. The database checks the same fields at INSERT.
import JSON

struct ScoreInput: Sendable {
    enum Context: Sendable {
        case text(String)
        case messages([JSONValue])
    }

    enum Question: Sendable {
        /// How likely is each of these after the context?
        case continuations([String], Context)
        /// How likely is a text, read in windows of at most `window` tokens that move on by `stride`?
        case text(String, window: Int?, stride: Int?)
    }

    let question: Question
    /// −1: sums alone; else a list of tokens, each with that many of the most probable ones.
    let logprobs: Int

    static let mostContinuations = 256
    private static let fields: Set<String> = [
        "prompt", "messages", "continuations", "text", "window", "stride", "logprobs",
    ]

    init(_ value: JSONValue) throws(InputError) {
        let fields = try FieldReader(value, known: Self.fields)
        logprobs = try fields.logprobs()
        let continuations = try fields.texts("continuations", most: Self.mostContinuations)
        let context = try Self.context(fields)
        let window = try fields.integer("window", 2...10_000_000)
        let stride = try fields.integer("stride", 1...10_000_000)
        guard let text = try fields.string("text") else {
            for (name, isSet) in [("window", window != nil), ("stride", stride != nil)] where isSet {
                throw InputError(field: "input.\(name)", reason: "goes with text, not with continuations")
            }
            guard let continuations else {
                throw InputError(
                    field: "input.continuations", reason: "missing: a job needs continuations or text")
            }
            guard let context else {
                throw InputError(field: "input.prompt", reason: "missing: continuations need prompt or messages")
            }
            question = .continuations(continuations, context)
            return
        }
        for name in ["prompt", "messages", "continuations"] where (fields.members[name] ?? .null) != .null {
            throw InputError(field: "input.\(name)", reason: "goes with continuations, not with text")
        }
        guard !text.isEmpty else { throw InputError(field: "input.text", reason: "must not be empty") }
        if let window, let stride, stride > window {
            throw InputError(field: "input.stride", reason: "must not be more than window")
        }
        question = .text(text, window: window, stride: stride)
    }

    private static func context(_ fields: FieldReader) throws(InputError) -> Context? {
        let prompt = try fields.string("prompt")
        guard let messages = try fields.array("messages") else { return prompt.map { .text($0) } }
        guard prompt == nil else {
            throw InputError(field: "input.messages", reason: "a job has either prompt or messages, not both")
        }
        guard !messages.isEmpty else { throw InputError(field: "input.messages", reason: "must not be empty") }
        return .messages(messages)
    }
}
