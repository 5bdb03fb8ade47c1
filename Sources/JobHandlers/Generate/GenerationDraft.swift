// An answer while it grows, and as the result that is stored.
import JSON
import JobModel
import JobWorker
import LLMInference
import Synchronization

/// Hands a job's tokens over as they come, so that readers see the answer grow and another worker can go on where this one
/// stopped.
final class GenerationDraft: Sendable {
    private let model: ResidentModel
    private let progress: any ProgressSink
    /// Where the next piece begins.
    private let end: Mutex<StreamChunk>
    /// Tokens of an earlier attempt, if the same model made them.
    let resumeTokens: [Int32]

    init(model: ResidentModel, resuming lease: Lease, progress: any ProgressSink) {
        self.model = model
        self.progress = progress
        let isSame = lease.progress?["model_digest"]?.stringValue == model.digest
        let earlier = isSame ? lease.written : nil
        resumeTokens = earlier?.tokens ?? []
        end = Mutex(
            StreamChunk(firstToken: earlier?.nextToken ?? 0, firstByte: earlier?.nextByte ?? 0, tokens: [], text: ""))
    }

    func append(_ token: GeneratedToken) {
        end.withLock { end in
            let chunk = StreamChunk(
                firstToken: end.firstToken, firstByte: end.firstByte, tokens: [token.token], text: token.text.storable)
            end.firstToken = chunk.nextToken
            end.firstByte = chunk.nextByte
            progress.append(chunk, modelDigest: model.digest)
        }
    }

    func outcome(_ output: GenerationOutput, seed: UInt64) -> Outcome {
        let usage = output.usage.json(model.provenance.json(seed: seed))
        if output.finishReason == .cancelled { return .cancelled(result: result(output), usage: usage) }
        return .succeeded(result: result(output), usage: usage)
    }

    private func result(_ output: GenerationOutput) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("text", .string(output.text.storable)), ("finish_reason", .string(output.finishReason.rawValue)),
            ("model_digest", .string(model.digest)),
        ]
        if case .string(let stop)? = output.stopMatch { members.append(("stop", .string(stop))) }
        if !output.logprobs.isEmpty { members.append(("logprobs", .array(output.logprobs.map { model.json($0) }))) }
        return .object(.init(members, uniquingKeysWith: { $1 }))
    }
}
