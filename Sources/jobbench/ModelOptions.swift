// Which model is measured, and how it is loaded.
import ArgumentParser
import Foundation
import JobSettings
import LLMInference
import LLMKernels
import LLMModels
import LLMTokenizers

extension KVPrecision: ExpressibleByArgument {}

struct ModelOptions: ParsableArguments {
    @Option(help: "A registered name's file in MILLRACE_HOME, or a path to a GGUF file or Hugging Face folder.")
    var model: String
    @Option(help: "Compute threads (default: the cores).")
    var threads = ProcessInfo.processInfo.activeProcessorCount
    @Flag(help: "All weights in float32, as the reference.")
    var reference = false
    @Option(help: "How keys and values are kept: float32, float16 or int8 (default: as a worker does).")
    var cache: KVPrecision?

    func validate() throws {
        guard (1...1024).contains(threads) else { throw ValidationError("--threads must be 1 to 1024") }
    }

    func open() throws -> any ModelSource {
        let fetched = MillraceHome().models + "/\(model).gguf"
        return try openModel(FileManager.default.fileExists(atPath: fetched) ? fetched : model)
    }

    /// The model as an engine runs it.
    func load(_ team: ThreadTeam) throws -> (served: ServedModel, tokenizer: Tokenizer) {
        let source = try open()
        let tokenizer = try source.tokenizer()
        let model = try LanguageModel(source, precision: precision, team: team)
        return (ServedModel(model, tokenizer: tokenizer, cachePrecision: cache), tokenizer)
    }

    var precision: ComputePrecision { reference ? .reference : .served }
}

extension ServedModel {
    /// A token of a text that means nothing: texts of different owners differ everywhere, so nothing of them is shared.
    func token(_ position: Int, of owner: Int) -> Int32 {
        Int32((position * 7919 + owner * 104_729 + 1000) % (vocabularySize - 1000)) + 500
    }
}

/// Numbers with commas between.
func numbers(_ text: String, of option: String, in range: ClosedRange<Int>) throws -> [Int] {
    try text.split(separator: ",").map { part in
        guard let number = Int(part), range.contains(number) else {
            throw ValidationError(
                "\(option): \(part) is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
