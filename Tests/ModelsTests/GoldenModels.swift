// The tiny models under Goldens/models with what transformers computed for them.
import Foundation
import JSON
import LLMKernels
import Testing

import LLMModels

struct GoldenCase: Decodable {
    let prompt: [Int32]
    let greedy: [Int32]
    /// Of prompt and greedy tokens together: where logits were kept.
    let positions: [Int]
}

struct GoldenModel: Sendable, CustomTestStringConvertible {
    static let vocabulary = 320

    let name: String
    /// A GGUF file, or the folder `hf`.
    let file: String

    static let all: [GoldenModel] =
        ["gpt2", "llama", "llama3", "qwen2", "qwen3", "gemma3"].flatMap { name in
            ["hf", "q8_0.gguf"].map { GoldenModel(name: name, file: $0) }
        } + [GoldenModel(name: "llama3", file: "f16.gguf")]

    var testDescription: String { "\(name)/\(file)" }

    private static func url(_ name: String) -> URL {
        Bundle.module.resourceURL!.appending(path: "Goldens/models/\(name)")
    }

    func open() throws -> any ModelSource { try openModel(Self.url("\(name)/\(file)").path) }

    func load(_ precision: ComputePrecision, _ team: ThreadTeam) throws -> LanguageModel {
        try LanguageModel(try open(), precision: precision, team: team)
    }

    /// Cases with the kept rows of logits.
    func expectation() throws -> [(case: GoldenCase, logits: [[Float]])] {
        struct File: Decodable { let cases: [GoldenCase] }
        let cases = try JSONDecoder().decode(
            File.self, from: Data(contentsOf: Self.url("\(name)/expected.json"))
        ).cases
        var floats = GoldenFloats(try Data(contentsOf: Self.url("\(name)/logits.bin")))
        return try cases.map { item in (item, try item.positions.map { _ in try floats.take(Self.vocabulary) }) }
    }
}

/// A published model with what transformers computed from its dequantised weights.
struct RealGolden: Decodable {
    let stride: Int
    let top: Int
    let cases: [GoldenCase]
    /// A paragraph, and the logarithm of the probability of each of its tokens but the first.
    let text: [Int32]
    let log_probabilities: [Float]

    struct Row {
        /// Logits of the tokens 0, stride, 2·stride …
        var sparse: [Float]
        var topTokens: [Int32]
        var topLogits: [Float]
    }

    static func read(_ name: String, vocabulary: Int) throws -> (golden: RealGolden, rows: [[Row]]) {
        let folder = Bundle.module.resourceURL!.appending(path: "Goldens/models/real")
        let golden = try JSONDecoder().decode(
            RealGolden.self, from: Data(contentsOf: folder.appending(path: name + ".json")))
        var floats = GoldenFloats(try Data(contentsOf: folder.appending(path: name + ".bin")))
        let rows = try golden.cases.map { item in
            try item.positions.map { _ in
                let sparse = try floats.take((vocabulary + golden.stride - 1) / golden.stride)
                let tokens = try floats.take(golden.top).map { Int32(bitPattern: $0.bitPattern) }
                return Row(sparse: sparse, topTokens: tokens, topLogits: try floats.take(golden.top))
            }
        }
        return (golden, rows)
    }
}

struct GoldenFloats {
    private let data: Data
    private var offset = 0

    init(_ data: Data) { self.data = data }

    mutating func take(_ count: Int) throws -> [Float] {
        try #require(offset + 4 * count <= data.count, "a golden file is too short")
        defer { offset += 4 * count }
        return data.withUnsafeBytes { bytes in
            (0..<count).map { bytes.loadUnaligned(fromByteOffset: offset + 4 * $0, as: Float.self) }
        }
    }
}
