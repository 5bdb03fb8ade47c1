// Encoding of weights against the gguf package, and copies of whole models.
import Foundation
import LLMKernels
import Testing

@testable import LLMModels

@Suite struct QuantizeTests {
    private static let folder = Bundle.module.resourceURL!.appending(path: "Goldens/quantize")
    private let team = ThreadTeam(threads: 2)

    private func golden(_ name: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: Self.folder.appending(path: name + ".bin")))
    }

    private func values() throws -> [Float] {
        try golden("values").withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    private func encode(_ values: [Float], _ encoding: TensorEncoding) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: encoding.rowBytes(values.count)!)
        bytes.withUnsafeMutableBytes { target in
            values.withUnsafeBufferPointer { encoding.quantize($0, to: target.baseAddress!) }
        }
        return bytes
    }

    private func decode(_ bytes: [UInt8], _ encoding: TensorEncoding, count: Int) -> [Float] {
        var values = [Float](repeating: 0, count: count)
        values.withUnsafeMutableBufferPointer { target in
            bytes.withUnsafeBytes {
                encoding.dequantize($0.baseAddress!, count: count, to: target.baseAddress!)
            }
        }
        return values
    }

    private func error(_ found: ArraySlice<Float>, _ wanted: ArraySlice<Float>) -> Double {
        zip(found, wanted).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    }

    @Test(arguments: [TensorEncoding.q8_0, .float16])
    func bytesAreThoseOfGGUF(_ encoding: TensorEncoding) throws {
        let found = encode(try values(), encoding), wanted = try golden(encoding.name)
        #expect(found.count == wanted.count)
        for place in found.indices where found[place] != wanted[place] {
            Issue.record("byte \(place): \(found[place]) instead of \(wanted[place])")
            break
        }
    }

    /// The search for a scale never loses, and on the whole wins a fifth of the squared error.
    @Test func fourBitsLoseLessThanGGUF() throws {
        let values = try values()
        let ours = decode(encode(values, .q4_1), .q4_1, count: values.count)
        let theirs = decode(try golden("Q4_1"), .q4_1, count: values.count)
        var shares: [Double] = []
        for start in stride(from: 0, to: values.count, by: 32) {
            let block = start..<start + 32
            let (mine, other) = (error(ours[block], values[block]), error(theirs[block], values[block]))
            #expect(mine <= other * 1.0001 + 1e-12, "block \(start / 32)")
            if other > 0 { shares.append(mine / other) }
        }
        #expect(shares.reduce(0, +) / Double(shares.count) < 0.85)
    }

    /// What had four bits keeps them.
    @Test func fourBitsOfFourBitsAreTheSame() throws {
        let once = decode(encode(try values(), .q4_1), .q4_1, count: try values().count)
        let twice = decode(encode(once, .q4_1), .q4_1, count: once.count)
        for start in stride(from: 0, to: once.count, by: 32) {
            let block = start..<start + 32
            let power = once[block].reduce(0) { $0 + Double($1) * Double($1) }
            #expect(error(twice[block], once[block]) <= 1e-5 * power + 1e-12, "block \(start / 32)")
        }
    }

    @Test(arguments: QuantizationTarget.allCases, ["llama/q8_0.gguf", "gemma3/q8_0.gguf", "gpt2/q8_0.gguf"])
    func copiesOfModels(_ target: QuantizationTarget, _ golden: String) throws {
        let folder = try TemporaryFolder()
        let source = try GGUFModel(GoldenFiles.folder.deletingLastPathComponent().path + "/models/" + golden)
        let copy = QuantizedCopy(of: GGUFContent(source), to: target)
        let path = folder.path + "/copy.gguf"
        try copy.write(to: path, team: team)
        let made = try GGUFModel(path)
        #expect(made.file.tensors.map(\.name) == source.file.tensors.map(\.name))
        #expect(made.configuration == source.configuration)
        for (tensor, original) in zip(made.file.tensors, copy.source.tensors) {
            #expect(tensor.dimensions.reversed() == original.shape && tensor.encoding == copy.encoding(of: original))
            let (found, wanted) = (
                try #require(made.file.sourceTensor(tensor.name)).floats(),
                try #require(source.file.sourceTensor(tensor.name)).floats()
            )
            let power = wanted.reduce(0) { $0 + Double($1) * Double($1) }
            let limit = tensor.encoding == .q4_1 ? 0.01 : 0.0001
            #expect(error(found[...], wanted[...]) <= limit * power, "\(tensor.name)")
        }
        for key in source.file.metadata.keys where !key.hasPrefix("general.") {
            #expect(made.file.metadata[key] == source.file.metadata[key], "\(key)")
        }
        _ = try made.tokenizer()
        _ = try LanguageModel(made, precision: .served, team: team)
        // The bytes depend on source and target alone.
        try copy.write(to: folder.path + "/again.gguf", team: ThreadTeam(threads: 1))
        #expect(try GGUFModel(folder.path + "/again.gguf").digest == made.digest)
    }

    @Test func aCancelledCopyLeavesNothing() throws {
        let folder = try TemporaryFolder()
        let source = try GGUFModel(GoldenFiles.folder.deletingLastPathComponent().path + "/models/llama/q8_0.gguf")
        #expect(throws: ModelError.unwritable(path: folder.path + "/copy.gguf", reason: "cancelled")) {
            try QuantizedCopy(of: GGUFContent(source), to: .int8).write(to: folder.path + "/copy.gguf", team: team) {
                $0 < 0.5
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }
}
