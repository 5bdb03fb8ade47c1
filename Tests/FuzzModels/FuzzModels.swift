// The driver of scripts/fuzz. Built with --sanitize fuzzer and -DFUZZER it looks for broken inputs along the code that they
// reach (libFuzzer); built like everything else it runs kept inputs again: fuzz-models FORMAT FILE...
import Foundation
import ModelFuzz

func makeTarget(_ format: FuzzFormat) throws -> FuzzTarget {
    let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-fuzz-\(getpid())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return FuzzTarget(format, folder: folder)
}

#if FUZZER
    // One thread runs inputs; a C callback has no place to carry them.
    nonisolated(unsafe) private var current: FuzzTarget?
    nonisolated(unsafe) private var currentFormat = FuzzFormat.gguf

    @_silgen_name("LLVMFuzzerMutate") private func mutateBytes(
        _ bytes: UnsafeMutablePointer<UInt8>, _ size: Int, _ maximum: Int
    ) -> Int

    /// `MILLRACE_FUZZ_FORMAT` says what is broken; the golden files go to `MILLRACE_FUZZ_SEEDS` before the corpus is read.
    @_cdecl("LLVMFuzzerInitialize") public func initialize(_ count: UnsafeRawPointer?, _ texts: UnsafeRawPointer?)
        -> CInt
    {
        let environment = ProcessInfo.processInfo.environment
        guard let format = FuzzFormat(rawValue: environment["MILLRACE_FUZZ_FORMAT"] ?? "") else { exit(64) }
        do {
            if let folder = environment["MILLRACE_FUZZ_SEEDS"] {
                for seed in try format.seeds {
                    let name = seed.name.replacing("/", with: "_")
                    try Data(seed.bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
                }
            }
            current = try makeTarget(format)
        } catch { fatalError("\(error)") }
        currentFormat = format
        return 0
    }

    @_cdecl("LLVMFuzzerTestOneInput") public func run(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        _ = current!.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
        return 0
    }

    /// Half of the changes know the format, half are libFuzzer's own.
    @_cdecl("LLVMFuzzerCustomMutator") public func mutate(
        _ bytes: UnsafeMutablePointer<UInt8>, _ size: Int, _ maximum: Int, _ seed: UInt32
    ) -> Int {
        if seed % 2 == 0 { return mutateBytes(bytes, size, maximum) }
        var random = FuzzRandom(seed: UInt64(seed))
        let mutated = Mutation.apply(to: Array(UnsafeBufferPointer(start: bytes, count: size)), currentFormat, &random)
        let count = min(mutated.count, maximum)
        mutated.withUnsafeBufferPointer { if let start = $0.baseAddress { bytes.update(from: start, count: count) } }
        return count
    }
#else
    @main enum FuzzModels {
        static func main() throws {
            let arguments = CommandLine.arguments
            guard arguments.count > 2, let format = FuzzFormat(rawValue: arguments[1]) else {
                FileHandle.standardError.write(Data("usage: fuzz-models FORMAT FILE...\n".utf8))
                exit(64)
            }
            let target = try makeTarget(format)
            for path in arguments.dropFirst(2) {
                let outcome = target.run([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))))
                print("\(path): \(outcome)")
            }
        }
    }
#endif
