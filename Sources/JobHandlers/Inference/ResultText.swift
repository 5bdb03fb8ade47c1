// Tokens and their log-probabilities as results show them.
import JSON
import LLMInference
import OrderedCollections

extension ResidentModel {
    func json(_ entry: TokenLogprob) -> JSONValue {
        .object(members(entry))
    }

    /// As for a generated token, and whether it is what greedy decoding would have chosen.
    func json(_ entry: ScoredToken) -> JSONValue {
        var members = members(entry.logprob)
        members["is_greedy"] = .bool(entry.isGreedy)
        return .object(members)
    }

    private func members(_ entry: TokenLogprob) -> OrderedDictionary<String, JSONValue> {
        var members: OrderedDictionary<String, JSONValue> = [
            "token": .string(text(of: entry.token)), "id": .integer(Int64(entry.token)),
            "logprob": .number(Double(entry.logprob)),
        ]
        if !entry.top.isEmpty {
            let top: [JSONValue] = entry.top.map { alternative in
                [
                    "token": .string(text(of: alternative.token)), "id": .integer(Int64(alternative.token)),
                    "logprob": .number(Double(alternative.logprob)),
                ]
            }
            members["top_logprobs"] = .array(top)
        }
        return members
    }

    private func text(of token: Int32) -> String { (tokenizer.text(of: token) ?? "").storable }
}

extension String {
    /// PostgreSQL's jsonb can't hold U+0000.
    var storable: String { replacing("\0", with: "\u{FFFD}") }
}

extension TokenUsage {
    func json(_ provenance: JSONValue) -> JSONValue {
        [
            "prompt_tokens": .integer(Int64(promptTokens)), "completion_tokens": .integer(Int64(completionTokens)),
            "total_tokens": .integer(Int64(promptTokens + completionTokens)),
            "cached_tokens": .integer(Int64(cachedTokens)), "provenance": provenance,
        ]
    }
}
