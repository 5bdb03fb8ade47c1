// An answer while it grows, and as the result that is stored.
import Foundation
import JSON
import JobModel
import JobWorker
import LLMInference
import Synchronization

/// Collects a job's tokens; hands them over as progress now and then, so that readers see the answer grow and another
/// worker can go on where this one stopped.
final class GenerationDraft: Sendable {
    private struct State: Sendable {
        var tokens: [Int32]
        var text: String
        var lastReport = Date.distantPast
    }

    private let model: ResidentModel
    private let progress: any ProgressSink
    private let state: Mutex<State>
    /// Tokens of an earlier attempt, if the same model made them.
    let resumeTokens: [Int32]
    /// Seconds between reports.
    private static let interval = 0.5

    init(model: ResidentModel, resuming earlier: JSONValue?, progress: any ProgressSink) {
        self.model = model
        self.progress = progress
        var tokens: [Int32] = []
        if let earlier, earlier["model_digest"]?.stringValue == model.digest {
            tokens = earlier["tokens"]?.arrayValue?.compactMap { $0.intValue.flatMap(Int32.init(exactly:)) } ?? []
        }
        resumeTokens = tokens
        state = Mutex(State(tokens: tokens, text: tokens.isEmpty ? "" : earlier?["text"]?.stringValue ?? ""))
    }

    func append(_ token: GeneratedToken) {
        let report: JSONValue? = state.withLock { state in
            state.tokens.append(token.token)
            state.text += token.text
            guard -state.lastReport.timeIntervalSinceNow >= Self.interval else { return nil }
            state.lastReport = Date()
            return snapshot(state)
        }
        if let report { progress.report(report) }
    }

    func outcome(_ output: GenerationOutput, seed: UInt64) -> Outcome {
        let usage = output.usage.json(model.provenance.json(seed: seed))
        if output.finishReason == .cancelled {
            // What there is may be gone on with.
            progress.report(state.withLock { snapshot($0) })
            return .cancelled(result: result(output), usage: usage)
        }
        return .succeeded(result: result(output), usage: usage)
    }

    private func snapshot(_ state: State) -> JSONValue {
        [
            "text": .string(state.text.storable), "tokens": .array(state.tokens.map { .integer(Int64($0)) }),
            "model_digest": .string(model.digest),
        ]
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
