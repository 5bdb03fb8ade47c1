// What a result was computed with: beside the result, never in it, since it may differ where the bytes do not.
import JSON
import LLMKernels
import LLMModels
import OrderedCollections

package struct Provenance: Sendable {
    /// SHA-256 of the model's file.
    let model: String
    /// Of the adapter's.
    let adapter: String?
    /// How keys and values are kept, if not as usual.
    let cache: KVPrecision?
    let threads: Int

    /// The program, by the first digits of its file's SHA-256: `sha256sum inference-worker` prints the same. A commit would
    /// say less, for it leaves out the compiler and what was not committed. Empty where a program can't read itself.
    package static let build: String = {
        guard let program = try? MappedFile("/proc/self/exe") else { return "" }
        return String(ModelDigest.ofFile(program).prefix(12))
    }()

    /// - Parameter seed: of the sampling, if there is any.
    func json(seed: UInt64? = nil) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "build": .string(Self.build), "cpu": .string((try? CPUFeatureLevel.active())?.rawValue ?? ""),
            "threads": .integer(Int64(threads)), "model": .string(model),
        ]
        members["adapter"] = adapter.map { .string($0) }
        members["cache"] = cache.map { .string($0.rawValue) }
        members["seed"] = seed.map { .integer(Int64(bitPattern: $0)) }
        return .object(members)
    }
}
