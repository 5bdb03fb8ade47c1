// Broken copies of small real files: opening one, and reading all of its tensors, gives an error or a model, never a
// crash.
import Foundation
import LLMModels
import Testing

@Suite struct CorruptionTests {
    /// Opens a model and touches everything in it. Only a ModelError may come out.
    private func read(_ path: String) -> Bool {
        do throws(ModelError) {
            let model = try openModel(path)
            for name in model.configuration.requiredTensors { _ = try model.tensor(name).floats() }
            _ = model.chatTemplate
            _ = model.configuration.rotary?.frequencies
            return true
        } catch { return false }
    }

    @Test(arguments: Architecture.allCases)
    func shortenedFiles(_ architecture: Architecture) throws {
        let folder = try TemporaryFolder()
        let bytes = try GoldenFiles.bytes("gguf/\(architecture.rawValue).gguf")
        let file = try GGUFFile(GoldenFiles.path("gguf/\(architecture.rawValue).gguf"))
        let dataStart = try #require(file.tensors.map(\.offset).min())
        // Most cuts in the header, where the structure is; some in the data.
        let cuts =
            stride(from: 1, to: dataStart, by: max(1, dataStart / 250)).map(\.self)
            + stride(from: dataStart, to: bytes.count, by: max(1, bytes.count / 50)).map(\.self)
        for cut in cuts {
            let path = try folder.write("cut.gguf", Array(bytes[..<cut]))
            #expect(!read(path), "cut at \(cut)")
        }
        let whole = try folder.write("cut.gguf", bytes)
        #expect(read(whole))
    }

    @Test(arguments: Architecture.allCases)
    func flippedBytes(_ architecture: Architecture) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let folder = try TemporaryFolder()
        let name = "gguf/\(architecture.rawValue).gguf"
        let bytes = try GoldenFiles.bytes(name)
        let file = try GGUFFile(GoldenFiles.path(name))
        let header = try #require(file.tensors.map(\.offset).min())
        var accepted = 0
        for _ in 0..<400 {
            var broken = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                broken[Int.random(in: 0..<header, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let path = try folder.write("flipped.gguf", broken)
            if read(path) { accepted += 1 }
        }
        // Many bytes are text or values of no consequence.
        #expect(accepted < 400, "seed \(seed)")
    }

    @Test(arguments: ["gemma3", "gpt2"])
    func brokenFolders(_ family: String) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let folder = try TemporaryFolder()
        try folder.copy(golden: "hf/" + family)
        for name in ["model.safetensors", "config.json", "generation_config.json"] {
            let bytes = try GoldenFiles.bytes("hf/\(family)/\(name)")
            // Without the last byte: a JSON file may end without a line feed.
            let structure = min(bytes.count - 1, 6_000)
            for _ in 0..<150 {
                var broken = bytes
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    broken[Int.random(in: 0..<structure, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                try folder.write(name, broken)
                _ = read(folder.path)
            }
            for cut in stride(from: 0, to: structure, by: max(1, structure / 100)) {
                try folder.write(name, Array(bytes[..<cut]))
                #expect(!read(folder.path), "\(name) cut at \(cut), seed \(seed)")
            }
            try folder.write(name, bytes)
            #expect(read(folder.path), "seed \(seed)")
        }
    }
}
