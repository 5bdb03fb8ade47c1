// What is done with a broken file: it is opened, and if that works, used as a worker would.
import Foundation
import LLMKernels
import LLMModels
import LLMTokenizers

/// Runs inputs of one format in a folder of its own. Not for several threads at once.
package final class FuzzTarget {
    package enum Outcome: Sendable {
        /// An error said what is wrong.
        case refused
        /// The weights were loaded and a step computed, or text was encoded and decoded.
        case ran
    }

    private let format: FuzzFormat
    private let folder: String
    private let team = ThreadTeam(threads: 1)
    /// What adapters are opened for.
    private lazy var base = Result { () throws in
        let source = try openModel(format.base)
        return (source, try LanguageModel(source, precision: .served, team: team))
    }
    private static let text = "Hello <s> 123 \u{2581} na\u{EF}ve\n\n\u{1F980}<|im_start|>"

    /// - Parameter folder: exists; inputs are written here.
    package init(_ format: FuzzFormat, folder: String) {
        self.format = format
        self.folder = folder
    }

    package func run(_ bytes: [UInt8]) -> Outcome {
        do {
            switch format {
            case .gguf:
                try write("input.gguf", bytes)
                try run(model: folder + "/input.gguf")
            case .folder:
                let parts = HuggingFaceInput(bytes)
                try write("config.json", parts.configuration)
                try write("model.safetensors", parts.weights)
                try run(model: folder)
            case .adapter:
                let parts = HuggingFaceInput(bytes)
                try write("adapter_config.json", parts.configuration)
                try write("adapter_model.safetensors", parts.weights)
                try run(adapter: folder)
            case .ggufAdapter:
                try write("input.gguf", bytes)
                try run(adapter: folder + "/input.gguf")
            case .tokenizer:
                try run(Tokenizer(tokenizerJSON: bytes, configurationJSON: nil))
            }
            return .ran
        } catch { return .refused }
    }

    private func run(model path: String) throws {
        let source = try openModel(path)
        if let tokenizer = try? source.tokenizer() { try run(tokenizer) }
        step(try LanguageModel(source, precision: .served, team: team))
    }

    private func run(adapter path: String) throws {
        let (source, model) = try base.get()
        step(model, LoRAAdapter(try openAdapter(path, base: source), for: source.configuration))
    }

    private func step(_ model: LanguageModel, _ adapter: LoRAAdapter? = nil) {
        let last = Int32(model.configuration.vocabularySize - 1)
        var batch = StepBatch()
        batch.tokens = Array([0, last / 2, last].prefix(model.configuration.contextLength))
        batch.positions = Array(0..<Int32(batch.tokens.count))
        batch.sequences = batch.tokens.map { _ in 0 }
        batch.blockTables = [[0]]
        batch.adapters = [adapter]
        batch.outputRows = [Int32(batch.tokens.count - 1)]
        let work = model.makeWorkspace(maximumRows: batch.tokens.count, maximumLogitRows: 1, team: team)
        let states = model.forward(batch, cache: model.makeCache(blocks: 1), work: work, team: team)
        model.logits(states, work: work, team: team)
    }

    private func run(_ tokenizer: Tokenizer) throws {
        let tokens = tokenizer.encode(Self.text, addSpecialTokens: true)
        precondition(tokens.allSatisfy { 0..<Int32(tokenizer.vocabularySize) ~= $0 }, "a token beyond the vocabulary")
        _ = tokenizer.decode(tokens, skipSpecialTokens: false)
        _ = tokenizer.decode(0..<Int32(min(tokenizer.vocabularySize, 300)), skipSpecialTokens: true)
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws {
        let descriptor = open(folder + "/" + name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        precondition(descriptor >= 0, "\(folder)/\(name) can't be written")
        defer { close(descriptor) }
        precondition(bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
    }
}
