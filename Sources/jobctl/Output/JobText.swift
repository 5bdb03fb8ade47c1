// Jobs as people and programs read them.
import Foundation
import JSON
import JobModel
import JobStorage

extension Job {
    var json: JSONValue {
        func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
        return [
            "id": .integer(id), "kind": .string(kind.rawValue), "model": .string(model), "queue": .string(queue),
            "priority": .integer(Int64(priority)), "state": .string(state.rawValue),
            "attempt": .integer(Int64(attempt)), "failures": .integer(Int64(failures)),
            "max_attempts": .integer(Int64(maximumAttempts)), "retry_policy": .string(retryPolicy.kind.rawValue),
            "retry_delay": retryPolicy.delay.map { .number($0) } ?? .null,
            "worker_deaths": .integer(Int64(workerDeaths)),
            "max_worker_deaths": .integer(Int64(maximumWorkerDeaths)), "tenant": .string(tenant),
            "created_at": .string(createdAt),
            "started_at": optional(startedAt), "finished_at": optional(finishedAt), "result": result ?? .null,
            "error": error ?? .null, "usage": usage ?? .null, "metadata": metadata,
            "replay_of": replayOf.map { .integer($0) } ?? .null,
        ]
    }

    func json(with attempts: [AttemptRecord]) -> JSONValue {
        guard case .object(var members) = json else { return json }
        members["attempts"] = .array(attempts.map(\.json))
        return .object(members)
    }

    /// Why it failed, for people.
    var failure: String? { error.map(Self.text(of:)) }

    fileprivate static func text(of error: JSONValue) -> String {
        let parts = [error["code"]?.stringValue, error["message"]?.stringValue].compactMap(\.self)
        return parts.isEmpty ? error.text() : parts.joined(separator: ": ")
    }

    /// The work done, for people.
    var work: String? {
        guard let usage else { return nil }
        guard let prompt = usage["prompt_tokens"]?.intValue, let answer = usage["completion_tokens"]?.intValue else {
            return usage.text()
        }
        let cached = usage["cached_tokens"]?.intValue ?? 0
        return "\(prompt) tokens read" + (cached > 0 ? " (\(cached) of them remembered)" : "") + ", \(answer) written"
    }

    /// What the job brought: its text, or why there is none.
    var answer: String {
        if let text = result?["text"]?.stringValue { return text }
        if let message = error?["message"]?.stringValue { return "\(state.rawValue): \(message)" }
        if let scores = result?["scores"]?.arrayValue { return scores.map(Self.scoreText).joined(separator: "\n") }
        if let vectors = result?["embeddings"]?.arrayValue {
            let numbers = vectors.first?.arrayValue?.count ?? 0
            return "\(vectors.count) \(vectors.count == 1 ? "vector" : "vectors") of \(numbers) numbers"
        }
        if let perplexity = result?["perplexity"]?.doubleValue, let bits = result?["bits_per_byte"]?.doubleValue {
            let tokens = result?["tokens"]?.intValue ?? 0
            return String(format: "perplexity %.4f over %d tokens, %.4f bits per byte", perplexity, tokens, bits)
        }
        return result?.text() ?? state.rawValue
    }

    /// One line of a multiple choice.
    private static func scoreText(_ score: JSONValue) -> String {
        let tokens = score["tokens"]?.intValue ?? 0
        return String(format: "%.4f", score["logprob"]?.doubleValue ?? .nan)
            + "  \(tokens) \(tokens == 1 ? "token" : "tokens")"
            + (score["is_greedy"]?.boolValue == true ? "  greedy" : "")
    }
}

extension AttemptRecord {
    var json: JSONValue {
        [
            "attempt": .integer(Int64(attempt)), "run_token": .integer(runToken),
            "worker": .string(worker.uuidString.lowercased()), "finished_at": .string(finishedAt),
            "seconds": .number(seconds), "outcome": .string(ending.rawValue), "error": error ?? .null,
        ]
    }

    /// Of a line for people.
    var cells: [String] {
        let error = error.map { Job.text(of: $0).replacing("\n", with: " ") } ?? ""
        return [
            "\(attempt)", String(finishedAt.prefix(19)), String(format: "%.1f s", seconds), ending.rawValue, error,
        ]
    }
}

/// A table whose columns are as wide as their widest cell.
struct TextTable {
    let header: [String]
    var rows: [[String]] = []

    /// Names with their values below each other.
    static func pairs(_ lines: [(name: String, value: String)]) -> String {
        let width = (lines.map(\.name.count).max() ?? 0) + 2
        return lines.map { $0.name.padding(toLength: width, withPad: " ", startingAt: 0) + $0.value }
            .joined(separator: "\n")
    }

    /// - Parameter nothing: what to say when there is no row.
    func text(orElse nothing: String) -> String {
        if rows.isEmpty { return nothing }
        let lines = [header] + rows
        let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            line.enumerated().map { column, cell in
                column == header.count - 1 ? cell : cell.padding(toLength: widths[column], withPad: " ", startingAt: 0)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
