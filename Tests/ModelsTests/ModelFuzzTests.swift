// Broken files by the hundred in every run of the tests; scripts/fuzz runs them by the hundred thousand.
import Foundation
import ModelFuzz
import Testing

@Suite struct ModelFuzzTests {
    /// `MILLRACE_FUZZ_ROUNDS` files of each format; `MILLRACE_SEED` replays a run. A crash leaves its input in the folder
    /// that is printed.
    @Test(arguments: FuzzFormat.allCases) func brokenFiles(_ format: FuzzFormat) throws {
        let environment = ProcessInfo.processInfo.environment
        let rounds = environment["MILLRACE_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 500
        let seed = environment["MILLRACE_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64.max)
        let folder = try TemporaryFolder()
        print("ModelFuzzTests: \(format), seed \(seed), to replay set MILLRACE_SEED=\(seed); input in \(folder.path)")
        var random = FuzzRandom(seed: seed)
        let target = FuzzTarget(format, folder: folder.path)
        let seeds = try format.seeds
        for seed in seeds { #expect(target.run(seed.bytes) == .ran, "\(seed.name)") }
        var ran = 0
        for round in 0..<rounds {
            let input = Mutation.apply(to: seeds[round % seeds.count].bytes, format, &random)
            if format == .tokenizer { try folder.write("input.json", input) }
            if target.run(input) == .ran { ran += 1 }
        }
        // Some changes are of no consequence, and not all.
        #expect(ran < rounds, "seed \(seed)")
    }
}
