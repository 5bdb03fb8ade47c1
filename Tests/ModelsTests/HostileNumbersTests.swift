// NaN, infinity and numbers out of range among the weights: found while they are packed, and named.
import Foundation
import LLMKernels
import LLMModels
import Testing

@Suite struct HostileNumbersTests {
    private let team = ThreadTeam(threads: 2)

    private func load(_ path: String, _ precision: ComputePrecision = .served) -> String {
        do throws(ModelError) {
            _ = try LanguageModel(openModel(path), precision: precision, team: team)
            return "loaded"
        } catch { return "\(error)" }
    }

    /// A copy of a golden file with two or four bytes of a tensor's row set to a number.
    private func broken(
        _ golden: String, tensor: String, row: Int, byte: Int, _ bits: [UInt8], in folder: TemporaryFolder
    ) throws -> String {
        let source = GoldenFiles.folder.deletingLastPathComponent().appending(path: "models/" + golden)
        var bytes = try [UInt8](Data(contentsOf: source))
        let entry = try #require(try GGUFFile(source.path)[tensor])
        let start = entry.offset + row * entry.encoding.rowBytes(entry.dimensions[0])! + byte
        bytes.replaceSubrange(start..<start + bits.count, with: bits)
        return try folder.write("broken.gguf", bytes)
    }

    @Test(arguments: [0x7E00, 0x7C00, 0xFC00] as [UInt16], [ComputePrecision.served, .reference])
    func scalesOfBlocks(_ bits: UInt16, _ precision: ComputePrecision) throws {
        let folder = try TemporaryFolder()
        let name = "blk.1.ffn_up.weight"
        let path = try broken("llama/q8_0.gguf", tensor: name, row: 37, byte: 34, little(bits), in: folder)
        #expect(
            load(path, precision)
                == "\(path): tensor \"\(name)\", row 37: holds NaN, infinity, or a number beyond what can be computed with"
        )
    }

    @Test(arguments: [0x7E00, 0xFC00] as [UInt16])
    func floats(_ bits: UInt16) throws {
        let folder = try TemporaryFolder()
        let path = try broken(
            "llama3/f16.gguf", tensor: "token_embd.weight", row: 300, byte: 10, little(bits), in: folder)
        #expect(load(path).contains("tensor \"token_embd.weight\", row 300: holds NaN"))
    }

    @Test func vectors() throws {
        let folder = try TemporaryFolder()
        let path = try broken(
            "llama/q8_0.gguf", tensor: "output_norm.weight", row: 0, byte: 8, little(Float.infinity.bitPattern),
            in: folder)
        #expect(load(path).contains("tensor \"output_norm.weight\": holds NaN, infinity"))
    }

    /// The first broken row is named, whatever the threads are.
    @Test func theFirstOfSeveral() throws {
        let folder = try TemporaryFolder()
        let source = try openModel(GoldenFiles.folder.deletingLastPathComponent().path + "/models/llama/q8_0.gguf")
        let name = source.key(.tokenEmbedding)
        var path = try broken("llama/q8_0.gguf", tensor: name, row: 200, byte: 0, little(UInt16(0x7E00)), in: folder)
        var bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
        let entry = try #require(try GGUFFile(path)[name])
        let start = entry.offset + 20 * entry.encoding.rowBytes(entry.dimensions[0])!
        bytes.replaceSubrange(start..<start + 2, with: little(UInt16(0x7C00)))
        path = try folder.write("broken.gguf", bytes)
        for _ in 0..<10 { #expect(load(path).contains("row 20:")) }
    }
}
