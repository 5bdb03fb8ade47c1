// The kinds of files that are broken on purpose, and where the good ones are.
import Foundation

package enum FuzzFormat: String, Sendable, CaseIterable {
    case gguf
    /// A Hugging Face folder as one input: four bytes with the length of config.json, config.json, model.safetensors.
    case folder
    case tokenizer

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
            switch self {
            case .gguf:
                let models = try list("ModelsTests/Goldens/models/").map { $0 + "/q8_0.gguf" }
                let names = try list("ModelsTests/Goldens/files/gguf/") + models
                return try names.filter { files.fileExists(atPath: Self.tests + $0) }.map { ($0, try read($0)) }
            case .folder:
                let folders = try list("ModelsTests/Goldens/models/").map { $0 + "/hf/" }
                return try folders.filter { files.fileExists(atPath: Self.tests + $0 + "model.safetensors") }.map {
                    let parts = HuggingFaceInput(
                        configuration: try read($0 + "config.json"), weights: try read($0 + "model.safetensors"))
                    return ($0, parts.bytes)
                }
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
