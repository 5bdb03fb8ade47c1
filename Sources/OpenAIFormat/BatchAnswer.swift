// An ended job as a line of a batch's output or error file.
// Source: the Batch API's output object, and the objects chat.completion, text_completion and list of embeddings.
import JSON
import JobModel
import OrderedCollections

package struct BatchAnswer: Sendable {
    /// False: the line belongs into the error file.
    package let isOutput: Bool
    package let line: JSONValue

    /// - Parameters:
    ///   - job: an ended one.
    ///   - finished: seconds since 1970.
    package init(_ job: Job, customID: String, endpoint: BatchLine.Endpoint, finished: Int64) {
        let id = JSONValue.string("batch_req_\(job.id)")
        if job.state == .succeeded, let result = job.result {
            isOutput = true
            line = [
                "id": id, "custom_id": .string(customID),
                "response": [
                    "status_code": 200, "request_id": .string("job-\(job.id)"),
                    "body": Self.body(job, result, endpoint, finished),
                ],
                "error": .null,
            ]
        } else {
            isOutput = false
            let code =
                switch job.state {
                case .cancelled: "batch_cancelled"
                case .expired: "batch_expired"
                default: job.error?["code"]?.stringValue ?? "failed"
                }
            line = [
                "id": id, "custom_id": .string(customID), "response": .null,
                "error": ["code": .string(code), "message": job.error?["message"] ?? .string(job.state.rawValue)],
            ]
        }
    }

    private static func body(
        _ job: Job, _ result: JSONValue, _ endpoint: BatchLine.Endpoint, _ finished: Int64
    ) -> JSONValue {
        let finish = result["finish_reason"] ?? "stop"
        switch endpoint {
        case .chatCompletions:
            let logprobs = result["logprobs"]?.arrayValue.map { entries -> JSONValue in
                ["content": .array(entries.map(Self.entry)), "refusal": .null]
            }
            return [
                "id": .string("chatcmpl-\(job.id)"), "object": "chat.completion", "created": .integer(finished),
                "model": .string(job.model),
                "choices": [
                    [
                        "index": 0,
                        "message": ["role": "assistant", "content": result["text"] ?? "", "refusal": .null],
                        "logprobs": logprobs ?? .null, "finish_reason": finish,
                    ]
                ],
                "usage": usage(job), "system_fingerprint": fingerprint(result),
            ]
        case .completions:
            let logprobs = result["logprobs"]?.arrayValue.map(Self.completionLogprobs)
            return [
                "id": .string("cmpl-\(job.id)"), "object": "text_completion", "created": .integer(finished),
                "model": .string(job.model),
                "choices": [
                    [
                        "index": 0, "text": result["text"] ?? "", "logprobs": logprobs ?? .null,
                        "finish_reason": finish,
                    ]
                ],
                "usage": usage(job), "system_fingerprint": fingerprint(result),
            ]
        case .embeddings:
            let vectors = (result["embeddings"]?.arrayValue ?? []).enumerated().map { number, vector -> JSONValue in
                ["object": "embedding", "index": .integer(Int64(number)), "embedding": vector]
            }
            let tokens = job.usage?["prompt_tokens"] ?? 0
            return [
                "object": "list", "data": .array(vectors), "model": .string(job.model),
                "usage": ["prompt_tokens": tokens, "total_tokens": tokens],
            ]
        }
    }

    private static func usage(_ job: Job) -> JSONValue {
        let (prompt, answer) = (
            job.usage?["prompt_tokens"]?.intValue ?? 0, job.usage?["completion_tokens"]?.intValue ?? 0
        )
        return [
            "prompt_tokens": .integer(Int64(prompt)), "completion_tokens": .integer(Int64(answer)),
            "total_tokens": .integer(Int64(prompt + answer)),
            "prompt_tokens_details": ["cached_tokens": job.usage?["cached_tokens"] ?? 0],
        ]
    }

    private static func fingerprint(_ result: JSONValue) -> JSONValue {
        result["model_digest"]?.stringValue.map { .string("model-" + $0.prefix(16)) } ?? .null
    }

    private static func entry(_ entry: JSONValue) -> JSONValue {
        func plain(_ entry: JSONValue) -> OrderedDictionary<String, JSONValue> {
            let token = entry["token"]?.stringValue ?? ""
            return [
                "token": .string(token), "logprob": entry["logprob"] ?? 0,
                "bytes": .array(token.utf8.map { .integer(Int64($0)) }),
            ]
        }
        var members = plain(entry)
        members["top_logprobs"] = .array((entry["top_logprobs"]?.arrayValue ?? []).map { .object(plain($0)) })
        return .object(members)
    }

    private static func completionLogprobs(_ entries: [JSONValue]) -> JSONValue {
        var offset: Int64 = 0
        let offsets = entries.map { entry -> JSONValue in
            defer { offset += Int64(entry["token"]?.stringValue?.unicodeScalars.count ?? 0) }
            return .integer(offset)
        }
        return [
            "tokens": .array(entries.map { $0["token"] ?? "" }),
            "token_logprobs": .array(entries.map { $0["logprob"] ?? .null }),
            "top_logprobs": .array(
                entries.map { entry in
                    .object(
                        OrderedDictionary(
                            (entry["top_logprobs"]?.arrayValue ?? []).map {
                                ($0["token"]?.stringValue ?? "", $0["logprob"] ?? .null)
                            }, uniquingKeysWith: { first, _ in first }))
                }),
            "text_offset": .array(offsets),
        ]
    }
}
