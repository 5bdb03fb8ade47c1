// LoRA adapters: what peft computes with them, and what is refused.
import Foundation
import JSON
import LLMKernels
import Testing

@testable import LLMModels

/// An adapter under Goldens/adapters with the logits that peft computed.
struct GoldenAdapter: Sendable, CustomTestStringConvertible {
    private struct File: Decodable {
        let base: String
        let tokens: [Int32]
        let rows: Int
        let hasGGUF: Bool
    }

    static let names = [
        "llama-all", "llama-ranks", "llama3-stabilised", "gpt2-conv", "qwen2-attention", "qwen3-all",
        "gemma3-feedforward", "gemma3-all",
    ]

    let name: String
    /// File or folder of the base.
    let base: String
    let isGGUF: Bool

    /// Each in its formats, on its base in both.
    static let all: [GoldenAdapter] = names.flatMap { name in
        ["hf", "q8_0.gguf"].flatMap { base in
            let hasGGUF = FileManager.default.fileExists(atPath: url("\(name).gguf").path)
            return (hasGGUF ? [false, true] : [false]).map { GoldenAdapter(name: name, base: base, isGGUF: $0) }
        }
    }

    var testDescription: String { "\(name)\(isGGUF ? ".gguf" : "") on \(base)" }

    static func url(_ name: String) -> URL { Bundle.module.resourceURL!.appending(path: "Goldens/adapters/\(name)") }

    var path: String { Self.url(isGGUF ? "\(name).gguf" : name).path }
    var model: GoldenModel { GoldenModel(name: String(name.split(separator: "-")[0]), file: base) }

    /// Tokens, and the logits of the last of them.
    func expectation() throws -> (tokens: [Int32], logits: [[Float]]) {
        let file = try JSONDecoder().decode(File.self, from: Data(contentsOf: Self.url("\(name).json")))
        var floats = GoldenFloats(try Data(contentsOf: Self.url("\(name).bin")))
        return (file.tokens, try (0..<file.rows).map { _ in try floats.take(GoldenModel.vocabulary) })
    }
}

@Suite struct AdapterTests {
    private static let team = ThreadTeam(threads: 2)

    @Test(arguments: GoldenAdapter.all)
    func logitsAreThoseOfPEFT(golden: GoldenAdapter) throws {
        let source = try golden.model.open()
        let adapter = LoRAAdapter(
            try openAdapter(golden.path, base: source), for: source.configuration, precision: .reference)
        let harness = ForwardHarness(
            try golden.model.load(.reference, Self.team), team: Self.team, rows: 17)
        let (tokens, logits) = try golden.expectation()
        let positions = Array(tokens.indices.suffix(logits.count))
        let found = harness.logits(of: tokens, at: positions, adapter: adapter)
        for (position, (a, b)) in zip(positions, zip(found, logits)) {
            #expect(greatestDifference(a, b) < 2e-3, "position \(position)")
        }
        // It is the adapter that makes them so.
        let plain = harness.logits(of: tokens, at: positions)
        #expect(greatestDifference(plain.last!, logits.last!) > 1)
    }

    /// The base and two adapters of it in one step give each the bytes that it has alone.
    @Test(arguments: ComputePrecision.allCases)
    func adaptersShareSteps(precision: ComputePrecision) throws {
        let model = GoldenModel(name: "llama", file: "q8_0.gguf")
        let source = try model.open()
        let adapters = try [nil, "llama-all", "llama-ranks"].map { name in
            try name.map {
                LoRAAdapter(
                    try openAdapter(GoldenAdapter.url($0).path, base: source), for: source.configuration,
                    precision: precision)
            }
        }
        let text = (0..<20).map { Int32($0 * 7 % 300 + 3) }
        let loaded = try model.load(precision, Self.team)
        let alone = adapters.map { adapter in
            ForwardHarness(loaded, team: ThreadTeam(threads: 1), rows: 1).logits(
                of: text, at: Array(text.indices), adapter: adapter)
        }
        let harness = ForwardHarness(loaded, team: Self.team)
        let chunks = adapters.map { adapter in
            ForwardHarness.Chunk(
                tokens: text[...], start: 0, table: harness.blockTable(tokens: text.count),
                wanted: Array(text.indices), adapter: adapter)
        }
        for (found, expected) in zip(harness.step(chunks), alone) {
            #expect(zip(found, expected).allSatisfy { $0.map(\.bitPattern) == $1.map(\.bitPattern) })
        }
        #expect(Set(alone.map { $0.last!.map(\.bitPattern) }).count == 3)
    }

    @Test func formatsAndBasesAgree() throws {
        // The same adapter in both formats is the same change of one base.
        let source = try GoldenModel(name: "llama", file: "hf").open()
        let folder = try openAdapter(GoldenAdapter.url("llama-all").path, base: source)
        let file = try openAdapter(GoldenAdapter.url("llama-all.gguf").path, base: source)
        #expect(folder.updates == file.updates && folder.updates.count == 14)
        #expect(folder.digest != file.digest && folder.digest.count == 64)
        #expect(folder.updates.allSatisfy { $0.rank == 6 })
        // Named as `sha256sum` would.
        let ranks = try openAdapter(GoldenAdapter.url("llama-ranks").path, base: source)
        #expect(ranks.updates.map(\.rank) == [8, 8, 3, 8, 8, 3])
        #expect(ranks.updates.map(\.tensor) == [.down, .query, .value, .down, .query, .value])
    }

    // MARK: Refusals

    /// A copy of an adapter's folder, changed by `change`; the error of opening it for the model.
    private func refusal(
        _ name: String = "llama-all", for base: GoldenModel = GoldenModel(name: "llama", file: "hf"),
        _ change: (URL) throws -> Void
    ) throws -> ModelError? {
        let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.copyItem(at: GoldenAdapter.url(name), to: folder)
        try change(folder)
        let source = try base.open()
        do throws(ModelError) {
            _ = try openAdapter(folder.path, base: source)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        ("use_dora", "true", "key \"use_dora\""), ("lora_bias", "true", "key \"lora_bias\""),
        ("bias", "\"all\"", "key \"bias\""), ("peft_type", "\"IA3\"", "key \"peft_type\""),
        ("modules_to_save", "[\"lm_head\"]", "key \"modules_to_save\""), ("peft_type", "null", "key \"peft_type\""),
        ("init_lora_weights", "\"pissa_niter_16\"", "key \"init_lora_weights\""),
        ("lora_alpha", "\"x\"", "key \"lora_alpha\""), ("lora_alpha", "null", "key \"lora_alpha\""),
        ("alpha_pattern", "{\"q_proj\":\"x\"}", "key \"alpha_pattern[\"q_proj\"]\""),
        ("alpha_pattern", "{\".*q_proj\":3}", "key \"alpha_pattern[\".*q_proj\"]\""),
    ])
    func keysThatMeanSomethingElseAreRefused(key: String, value: String, field: String) throws {
        let error = try refusal { folder in
            let file = folder.appending(path: "adapter_config.json")
            guard case .object(var members) = try JSONValue(parsing: Array(Data(contentsOf: file))) else { return }
            members[key] = try JSONValue(parsing: Array(value.utf8))
            try Data(JSONValue.object(members).text().utf8).write(to: file)
        }
        #expect(error?.description.contains(field) == true, "\(error?.description ?? "opened")")
    }

    @Test(arguments: [
        // In the safetensors header, as long as what it replaces: the data stays where it is.
        ("layers.1.mlp.up_proj.lora_A", "layers.9.mlp.up_proj.lora_A", "changes no matrix of a layer"),
        ("layers.1.mlp.up_proj.lora_A", "layers.1.mlp.up_prop.lora_A", "changes no matrix of a layer"),
        ("up_proj.lora_A.weight", "up_proj.lora_A.weighs", "changes no matrix of a layer"),
        (
            "base_model.model.model.layers.1.mlp.up_proj.lora_A",
            "base_model.model.layers.1.mlp.up_proj.lora_A\u{20}\u{20}\u{20}\u{20}\u{20}\u{20}", "changes no matrix"
        ),
        ("layers.1.mlp.up_proj.lora_A", "layers.1.mlp.up_proj.lora_B", "safetensors"),
        ("\"dtype\":\"F32\"", "\"dtype\":\"I32\"", "is not supported; matrices of F32, F16 and BF16 are"),
        ("\"shape\":[6,64]", "\"shape\":[64,6]", "shape [64, 6] where [64, 64] is expected"),
    ])
    func tensorsThatDoNotFitAreRefused(find: String, replace: String, reason: String) throws {
        let error = try refusal { folder in
            let file = folder.appending(path: "adapter_model.safetensors")
            var data = try Data(contentsOf: file)
            let range = try #require(data.firstRange(of: Data(find.utf8)))
            try #require(find.utf8.count == replace.utf8.count)
            data.replaceSubrange(range, with: Data(replace.utf8))
            try data.write(to: file)
        }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "opened")")
    }

    @Test func numbersThatAreNoneAreRefused() throws {
        let error = try refusal { folder in
            let file = folder.appending(path: "adapter_model.safetensors")
            var data = try Data(contentsOf: file)
            data.replaceSubrange(data.count - 4..<data.count, with: [0, 0, 0xc0, 0x7f])
            try data.write(to: file)
        }
        #expect(error?.description.hasSuffix("holds NaN or infinity") == true, "\(error?.description ?? "opened")")
    }

    @Test func otherModelsAndOtherFilesAreRefused() throws {
        let qwen = GoldenModel(name: "qwen3", file: "hf"), narrow = GoldenModel(name: "llama3", file: "hf")
        #expect(
            try refusal(for: narrow) { _ in }?.description.contains("[64, 6] where [32, 6] is expected") == true)
        #expect(try refusal(for: qwen) { _ in } != nil)
        let absent = try refusal { try FileManager.default.removeItem(at: $0.appending(path: "adapter_config.json")) }
        #expect(absent?.description.hasSuffix("the folder has no adapter_config.json") == true)
        // A GGUF adapter says which architecture it is for; a model is no adapter, and an adapter no model.
        func error(_ path: String, _ base: GoldenModel) throws -> String {
            let source = try base.open()
            do throws(ModelError) {
                _ = try openAdapter(path, base: source)
                return "opened"
            } catch {
                return error.description
            }
        }
        let file = GoldenAdapter.url("llama-all.gguf").path
        #expect(try error(file, qwen).hasSuffix("\"llama\" where \"qwen3\" is expected"))
        let model = GoldenModel(name: "llama", file: "q8_0.gguf")
        #expect(try error(model.open().path, model).contains("key \"general.type\""))
        #expect(throws: ModelError.self) { try openModel(file) }
        #expect(throws: ModelError.self) { try openModel(GoldenAdapter.url("llama-all").path) }
    }
}
