// One line of a batch file in OpenAI's format, as a job.
// Source: the Batch API's input object, {"custom_id","method","url","body"}.
import JSON
import JobModel

package struct BatchLine: Sendable {
    package enum Endpoint: String, Sendable, CaseIterable {
        case chatCompletions = "/v1/chat/completions"
        case completions = "/v1/completions"
        case embeddings = "/v1/embeddings"
    }

    package let customID: String
    package let endpoint: Endpoint
    package let kind: JobKind
    package let model: String
    /// Of a job of that kind (docs/jobs.md).
    package let input: JSONValue

    /// Characters of a custom id, at most.
    package static let customIDLength = 512

    /// - Parameters:
    ///   - text: the line, without its end.
    ///   - model: instead of the one that the body names.
    package init(parsing text: some Collection<UInt8>, model: String? = nil) throws(BatchLineError) {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: Array(text))
        } catch {
            throw BatchLineError(.invalidJSON, "", "column \(error.column): \(error.reason)")
        }
        guard case .object(let members) = value else {
            throw BatchLineError(.invalidJSON, "", "must be an object, is \(value.typeName)")
        }
        customID = try Self.text(members["custom_id"], "custom_id")
        guard (1...Self.customIDLength).contains(customID.unicodeScalars.count), !customID.contains("\0") else {
            throw BatchLineError(.invalid, "custom_id", "must have 1 to \(Self.customIDLength) characters")
        }
        for name in members.keys where !["custom_id", "method", "url", "body"].contains(name) {
            throw BatchLineError(.invalid, name, "unknown field")
        }
        let method = try Self.text(members["method"], "method")
        guard method == "POST" else { throw BatchLineError(.invalid, "method", "must be POST") }
        let url = try Self.text(members["url"], "url")
        guard let endpoint = Endpoint(rawValue: url) else {
            let known = Endpoint.allCases.map(\.rawValue).joined(separator: ", ")
            throw BatchLineError(.invalid, "url", "must be one of \(known)")
        }
        self.endpoint = endpoint
        guard let given = members["body"], given != .null else { throw BatchLineError(.missing, "body", "missing") }
        guard case .object = given else {
            throw BatchLineError(.invalid, "body", "must be an object, is \(given.typeName)")
        }
        var body = RequestBody(given)
        let named = try body.model()
        guard let model = model ?? named else { throw BatchLineError(.missing, "body.model", "missing") }
        self.model = model
        switch endpoint {
        case .chatCompletions: (kind, input) = (.generate, try body.chat())
        case .completions: (kind, input) = (.generate, try body.completion())
        case .embeddings: (kind, input) = (.embed, try body.embedding())
        }
    }

    private static func text(_ value: JSONValue?, _ field: String) throws(BatchLineError) -> String {
        guard let value, value != .null else { throw BatchLineError(.missing, field, "missing") }
        guard let text = value.stringValue else {
            throw BatchLineError(.invalid, field, "must be a string, is \(value.typeName)")
        }
        return text
    }
}

/// Why a line is refused.
package struct BatchLineError: Error, Sendable, Equatable, CustomStringConvertible {
    /// As OpenAI names them.
    package enum Code: String, Sendable {
        case invalidJSON = "invalid_json_line"
        case missing = "missing_required_parameter"
        case invalid = "invalid_parameter"
        case duplicate = "duplicate_custom_id"
    }

    package let code: Code
    /// Empty when it is the whole line.
    package let field: String
    package let reason: String

    package init(_ code: Code, _ field: String, _ reason: String) {
        self.code = code
        self.field = field
        self.reason = reason
    }

    package var description: String { field.isEmpty ? reason : "\(field): \(reason)" }
}
