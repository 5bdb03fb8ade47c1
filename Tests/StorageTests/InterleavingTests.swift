// Random interleavings of clients and workers, run against PostgreSQL and against the store in memory as its model. Both
// must answer alike and look alike after every step.
import Foundation
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct InterleavingTests {
    /// `MILLRACE_SEED` replays one run.
    static let seeds: [UInt64] = {
        if let text = ProcessInfo.processInfo.environment["MILLRACE_SEED"], let seed = UInt64(text) { return [seed] }
        return (0..<3).map { _ in UInt64.random(in: 0..<1_000_000) }
    }()

    @Test(arguments: seeds)
    func bothStoresAgreeAtEveryStep(seed: UInt64) async throws {
        print("InterleavingTests: seed \(seed), to replay set MILLRACE_SEED=\(seed)")
        try await TestDatabase.with { database async throws in
            let pool = database.pool(2)
            var simulation = Simulation(seed: seed, pool: pool)
            try await simulation.prepare()
            for _ in 0..<250 { try await simulation.step() }
            try await simulation.finish()
            await pool.close()
        }
    }
}
