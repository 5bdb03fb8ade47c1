// Jobs as people and programs read them.
import Foundation
import JSON
import JobModel

extension Job {
    var json: JSONValue {
        func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
        return [
            "id": .integer(id), "kind": .string(kind.rawValue), "model": .string(model), "queue": .string(queue),
            "priority": .integer(Int64(priority)), "state": .string(state.rawValue),
            "attempt": .integer(Int64(attempt)),
            "max_attempts": .integer(Int64(maximumAttempts)), "tenant": .string(tenant),
            "created_at": .string(createdAt),
            "started_at": optional(startedAt), "finished_at": optional(finishedAt), "result": result ?? .null,
            "error": error ?? .null, "usage": usage ?? .null, "metadata": metadata,
        ]
    }

    /// What the job brought: its text, or why there is none.
    var answer: String {
        if let text = result?["text"]?.stringValue { return text }
        if let message = error?["message"]?.stringValue { return "\(state.rawValue): \(message)" }
        return result?.text() ?? state.rawValue
    }
}

/// A table whose columns are as wide as their widest cell.
struct TextTable {
    let header: [String]
    var rows: [[String]] = []

    var text: String {
        let lines = [header] + rows
        let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            line.enumerated().map { column, cell in
                column == header.count - 1 ? cell : cell.padding(toLength: widths[column], withPad: " ", startingAt: 0)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
