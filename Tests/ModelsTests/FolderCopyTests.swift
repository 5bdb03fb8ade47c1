// Copies of Hugging Face folders in GGUF: the same model, as our reader and the gguf package's own files say it.
import Foundation
import JSON
import LLMKernels
import LLMTokenizers
import Testing
import TokenizerGoldens

@testable import LLMModels

@Suite struct FolderCopyTests {
    private let team = ThreadTeam(threads: 2)

    /// A golden model with the vocabulary of a golden tokenizer, cut to the rows of its embedding.
    private func folder(_ name: String, tokenizer: String, in place: TemporaryFolder) throws -> String {
        let target = "\(place.path)/\(name)"
        try FileManager.default.copyItem(
            atPath: GoldenFiles.folder.deletingLastPathComponent().path + "/models/\(name)/hf", toPath: target)
        let file = try JSONValue(parsing: TokenizerGoldens.file("\(tokenizer)/tokenizer.json"))
        let cut = tokenizer == "gemma" ? Self.smallSentencePiece(file) : Self.cut(file, to: 300)
        try Data(cut.text().utf8).write(to: URL(fileURLWithPath: target + "/tokenizer.json"))
        var configuration = try JSONValue(parsing: TokenizerGoldens.file("\(tokenizer)/tokenizer_config.json"))
        if case .object(var members) = configuration {
            members["chat_template"] = "{{ messages[0].content }}"
            configuration = .object(members)
        }
        try Data(configuration.text().utf8).write(to: URL(fileURLWithPath: target + "/tokenizer_config.json"))
        return target
    }

    /// Without the pieces from `count` on, and what is merged to them.
    private static func cut(_ file: JSONValue, to count: Int) -> JSONValue {
        guard case .object(var file) = file, case .object(var model) = file["model"],
            let pieces = model["vocab"]?.objectValue
        else { return file }
        let kept = pieces.filter { $0.value.intValue! < count }
        model["vocab"] = .object(kept)
        model["merges"] = .array(
            model["merges"]!.arrayValue!.filter { merge in
                let parts = merge.arrayValue?.map { $0.stringValue! } ?? merge.stringValue!.components(separatedBy: " ")
                return parts.allSatisfy { kept[$0] != nil } && kept[parts.joined()] != nil
            })
        model["unk_token"] = .null
        file["model"] = .object(model)
        file["added_tokens"] = .array(file["added_tokens"]!.arrayValue!.filter { $0["id"]!.intValue! < count })
        return .object(file)
    }

    /// Special tokens, 256 bytes, the letters, and a few pieces with all merges that give them.
    private static func smallSentencePiece(_ file: JSONValue) -> JSONValue {
        guard case .object(var file) = file, case .object(var model) = file["model"] else { return file }
        var pieces: [String] = []
        for (piece, id) in model["vocab"]!.objectValue!.sorted(by: { $0.value.intValue! < $1.value.intValue! })
        where id.intValue! < 4 || piece.hasPrefix("<0x") { pieces.append(piece) }
        pieces += ["\u{2581}", "a", "c", "d", "e", "h", "i", "n", "o", "r", "s", "t"]
        pieces += ["th", "he", "in", "\u{2581}th", "the", "\u{2581}the", "er", "an", "ing"]
        var merges: [JSONValue] = []
        for piece in pieces.suffix(9) {
            for split in piece.indices.dropFirst() {
                let parts = [String(piece[..<split]), String(piece[split...])]
                if parts.allSatisfy(pieces.contains) { merges.append(.array(parts.map { .string($0) })) }
            }
        }
        model["vocab"] = .object(.init(uniqueKeysWithValues: pieces.enumerated().map { ($1, .integer(Int64($0))) }))
        model["merges"] = .array(merges)
        file["model"] = .object(model)
        file["added_tokens"] = .array(file["added_tokens"]!.arrayValue!.filter { $0["id"]!.intValue! < 4 })
        return .object(file)
    }

    private static let families = [
        ("gpt2", "gpt2"), ("llama", "smollm2"), ("llama3", "llama3"), ("qwen2", "qwen2"), ("qwen3", "qwen2"),
        ("gemma3", "gemma"),
    ]

    @Test(arguments: families) func isTheSameModel(_ name: String, _ tokenizer: String) throws {
        let place = try TemporaryFolder()
        let source = try HuggingFaceModel(folder(name, tokenizer: tokenizer, in: place))
        for target in QuantizationTarget.allCases {
            let path = "\(place.path)/\(target).gguf"
            try QuantizedCopy(of: GGUFContent(source), to: target).write(to: path, team: team)
            let made = try GGUFModel(path)
            try compare(made.configuration, source.configuration)
            #expect(made.chatTemplate == source.chatTemplate && made.chatTemplate != nil)
            let (ours, theirs) = (try made.tokenizer(), try source.tokenizer())
            for text in try TokenizerGoldens("\(tokenizer)/expected").texts.prefix(500) {
                #expect(
                    ours.encode(text, addSpecialTokens: true) == theirs.encode(text, addSpecialTokens: true),
                    "\(text.debugDescription)")
            }
            guard target == .float16 else { continue }
            // Weights of 16 bits are what they were; of 32 bits, a half of the last bit off.
            let (copy, original) = (
                try LanguageModel(made, precision: .reference, team: team),
                try LanguageModel(source, precision: .reference, team: team)
            )
            let text = (0..<40).map { Int32($0 * 7 % 300) }
            let rows = [copy, original].map { model in
                ForwardHarness(model, team: team, blocks: 3, rows: 40).logits(of: text, at: Array(text.indices))
            }
            for (found, wanted) in zip(rows[0].joined(), rows[1].joined()) {
                #expect(abs(found - wanted) < 0.02 * (1 + abs(wanted)))
            }
        }
    }

    private func compare(_ found: ModelConfiguration, _ expected: ModelConfiguration) throws {
        var found = found
        // The rows of Llama's files are in another order, and the file says frequencies one by one.
        #expect(found.ropeStyle == (found.architecture == .llama ? .interleaved : .halves))
        found.ropeStyle = expected.ropeStyle
        if case .llama3 = expected.rotary?.scaling {
            for (one, other) in zip(found.rotary!.frequencies, expected.rotary!.frequencies) {
                #expect(abs(one / other - 1) < 1e-6)
            }
            (found.rotary, found.windowRotary) = (expected.rotary, expected.windowRotary)
        }
        #expect(Set(found.endOfText).isSuperset(of: expected.endOfText))
        found.endOfText = expected.endOfText
        // The tokenizer is another model's, and so is its beginning of text.
        found.beginOfText = expected.beginOfText
        #expect(found == expected)
    }

    /// Tensors and keys of the golden GGUF files, which the gguf package wrote from the same weights.
    @Test(arguments: families) func agreesWithTheGGUFPackage(_ name: String, _ tokenizer: String) throws {
        let place = try TemporaryFolder()
        let source = try HuggingFaceModel(folder(name, tokenizer: tokenizer, in: place))
        let path = place.path + "/copy.gguf"
        try QuantizedCopy(of: GGUFContent(source), to: .int8).write(to: path, team: team)
        let made = try GGUFFile(path)
        let golden = try GGUFFile(
            GoldenFiles.folder.deletingLastPathComponent().path + "/models/\(name)/q8_0.gguf")
        #expect(Set(made.tensors.map(\.name)) == Set(golden.tensors.map(\.name)))
        for tensor in golden.tensors {
            let copy = try #require(made[tensor.name])
            #expect(copy.dimensions == tensor.dimensions, "\(tensor.name)")
            let (found, wanted) = (
                try #require(made.sourceTensor(tensor.name)).floats(),
                try #require(golden.sourceTensor(tensor.name)).floats()
            )
            let largest = wanted.map(abs).max()!
            #expect(zip(found, wanted).allSatisfy { abs($0 - $1) <= 0.01 * largest }, "\(tensor.name)")
        }
        for key in golden.metadata.keys where !key.hasPrefix("tokenizer.") && !key.hasPrefix("general.") {
            let (found, wanted) = (made.metadata[key], golden.metadata[key])
            if let wanted = wanted?.doubleValue {
                #expect(found?.doubleValue.map { abs($0 - wanted) <= 1e-6 * abs(wanted) } == true, "\(key)")
            } else {
                #expect(found == wanted, "\(key)")
            }
        }
    }

    @Test func whatAFileCannotSayIsRefused() throws {
        let place = try TemporaryFolder()
        func refusal(_ name: String, _ tokenizer: String, _ change: (String) throws -> Void) throws -> String {
            let path = try folder(name, tokenizer: tokenizer, in: place)
            defer { try? FileManager.default.removeItem(atPath: path) }
            try change(path)
            let error = #expect(throws: ModelError.self) { try GGUFContent(HuggingFaceModel(path)) }
            return error.map { "\($0)" } ?? ""
        }
        func set(_ key: String, _ value: JSONValue, in path: String) throws {
            let url = URL(fileURLWithPath: path + "/config.json")
            guard case .object(var members) = try JSONValue(parsing: Array(Data(contentsOf: url))) else { return }
            members[key] = value
            try Data(JSONValue.object(members).text().utf8).write(to: url)
        }
        #expect(
            try refusal("llama", "smollm2") {
                try FileManager.default.removeItem(atPath: $0 + "/tokenizer.json")
            }.contains("no tokenizer.json"))
        #expect(try refusal("llama", "flags") { _ in }.contains("pre_tokenizer"))
        #expect(
            try refusal("gpt2", "gpt2") { try set("scale_attn_weights", false, in: $0) }
                .contains("scale_attn_weights"))
        #expect(
            try refusal("gemma3", "gemma") { try set("query_pre_attn_scalar", 77, in: $0) }
                .contains("query_pre_attn_scalar"))
        #expect(
            try refusal("qwen2", "qwen2") {
                try set("use_sliding_window", true, in: $0)
                try set("max_window_layers", 0, in: $0)
                try set("layer_types", .null, in: $0)
            }.contains("use_sliding_window"))
        #expect(
            try refusal("llama", "smollm2") { path in
                let file = try JSONValue(parsing: TokenizerGoldens.file("smollm2/tokenizer.json"))
                try Data(file.text().utf8).write(to: URL(fileURLWithPath: path + "/tokenizer.json"))
            }.contains("rows of the embedding"))
    }
}
