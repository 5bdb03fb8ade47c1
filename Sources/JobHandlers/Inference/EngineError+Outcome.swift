// What an engine's refusal means for a job.
import JobModel
import LLMInference
import LLMKernels

extension EngineError {
    /// - Parameters:
    ///   - field: what gave the tokens.
    ///   - lengthField: what says how many there may be; `field` if nil.
    func outcome(field: String, lengthField: String? = nil) -> Outcome {
        let lengthField = lengthField ?? field
        return switch self {
        case .stopped: .released()
        case .cancelled: .cancelled(result: nil, usage: nil)
        case .busy, .duplicateRequest: .retry(JobFailure(code: "engine_busy", message: description), after: 1)
        case .invalidLogits, .invalidState: .failed(JobFailure(code: "engine", message: description))
        case .emptyPrompt, .promptTooLong, .exceedsContext, .tokenOutOfRange:
            .failed(JobFailure(code: "invalid_input", message: "\(field): \(description)", field: field))
        case .exceedsCache(let needed, let cache):
            .failed(
                JobFailure(
                    code: "too_long",
                    message:
                        "\(lengthField): all tokens together need room for \(needed * KVLayout.blockSize) tokens, "
                        + "this worker has \(cache * KVLayout.blockSize)",
                    field: lengthField))
        case .constraintTooLong(let needed, let available):
            .failed(
                JobFailure(
                    code: "invalid_input",
                    message:
                        "\(lengthField): the shortest text that satisfies the constraint may take \(needed) tokens, "
                        + "there is room for \(available)",
                    field: lengthField))
        case .foreignAdapter:
            .failed(JobFailure(code: "invalid_model", message: "model: \(description)", field: "model"))
        case .invalidParameter, .invalidResume:
            .failed(JobFailure(code: "invalid_input", message: "input.\(description)"))
        }
    }
}
