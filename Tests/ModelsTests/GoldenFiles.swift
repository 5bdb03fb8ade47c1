// Where the goldens of the model-file tests are, and small helpers to break copies of them.
import Foundation
import LLMModels
import Testing

enum GoldenFiles {
    static let folder = Bundle.module.resourceURL!.appending(path: "Goldens/files")

    static func path(_ name: String) -> String { folder.appending(path: name).path }

    static func bytes(_ name: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: folder.appending(path: name)))
    }

    /// Every float of a tensor, by its bits.
    static func bits(_ tensor: SourceTensor) -> [UInt32] { tensor.floats().map(\.bitPattern) }
}

/// A folder that is removed with the object.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(filePath: file))
        return file
    }

    /// A copy of a golden folder, to be changed.
    func copy(golden name: String) throws {
        for file in try FileManager.default.contentsOfDirectory(atPath: GoldenFiles.path(name)) {
            try write(file, try GoldenFiles.bytes(name + "/" + file))
        }
    }
}

/// Random numbers that a seed repeats (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
