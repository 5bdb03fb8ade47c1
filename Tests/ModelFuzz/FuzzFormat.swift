// The kinds of files that are broken on purpose, and where the good ones are.
import Foundation

package enum FuzzFormat: String, Sendable, CaseIterable {
    case gguf
    /// A Hugging Face folder as one input: four bytes with the length of config.json, config.json, model.safetensors.
    case folder
    case tokenizer
    /// A PEFT folder as one input, in the same way, for the small Llama in a GGUF file.
    case adapter
    /// A GGUF adapter for the same model in a Hugging Face folder.
    case ggufAdapter

    /// What adapters are opened for.
    var base: String {
        Self.tests + "ModelsTests/Goldens/models/llama/" + (self == .adapter ? "q8_0.gguf" : "hf")
    }

    /// The golden files, by a name to print.
    package var seeds: [(name: String, bytes: [UInt8])] {
        get throws {
            let files = FileManager.default
            func list(_ folder: String) throws -> [String] {
                try files.contentsOfDirectory(atPath: Self.tests + folder).sorted().map { folder + $0 }
            }
            func read(_ name: String) throws -> [UInt8] {
                try [UInt8](Data(contentsOf: URL(fileURLWithPath: Self.tests + name)))
            }
            func folder(_ configuration: String, _ weights: String) throws -> [UInt8] {
                HuggingFaceInput(configuration: try read(configuration), weights: try read(weights)).bytes
            }
            switch self {
            case .gguf:
                let models = try list("ModelsTests/Goldens/models/").map { $0 + "/q8_0.gguf" }
                let names = try list("ModelsTests/Goldens/files/gguf/") + models
                return try names.filter { files.fileExists(atPath: Self.tests + $0) }.map { ($0, try read($0)) }
            case .folder:
                let folders = try list("ModelsTests/Goldens/models/").map { $0 + "/hf/" }
                return try folders.filter { files.fileExists(atPath: Self.tests + $0 + "model.safetensors") }.map {
                    ($0, try folder($0 + "config.json", $0 + "model.safetensors"))
                }
            case .adapter:
                return try ["llama-all", "llama-ranks"].map { name in
                    let place = "ModelsTests/Goldens/adapters/\(name)/adapter_"
                    return (name, try folder(place + "config.json", place + "model.safetensors"))
                }
            case .ggufAdapter:
                let name = "ModelsTests/Goldens/adapters/llama-all.gguf"
                return [(name, try read(name))]
            case .tokenizer:
                let names = try list("TokenizersTests/Goldens/").map { $0 + "/tokenizer.json" }
                return try names.filter { files.fileExists(atPath: Self.tests + $0) }.map { ($0, try read($0)) }
            }
        }
    }

    private static let tests =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .path + "/"
}

/// Both files of a folder in one piece.
struct HuggingFaceInput {
    var configuration: [UInt8]
    var weights: [UInt8]

    init(configuration: [UInt8], weights: [UInt8]) {
        self.configuration = configuration
        self.weights = weights
    }

    /// Every input is a folder: a length that is too large means all of it.
    init(_ bytes: [UInt8]) {
        let length = bytes.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        let rest = bytes.dropFirst(4)
        configuration = Array(rest.prefix(length))
        weights = Array(rest.dropFirst(length))
    }

    var bytes: [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: configuration.count >> (8 * $0)) } + configuration + weights
    }
}
