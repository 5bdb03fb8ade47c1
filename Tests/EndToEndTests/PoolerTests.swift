// Workers and clients that reach the database only through PgBouncer in transaction mode.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct PoolerTests {
    @Test func everythingWorksThroughATransactionPooler() async throws {
        try await Fleet.with { fleet in
            let pooler = try await TestPooler(to: fleet.database)
            do {
                try await run(fleet, through: pooler)
            } catch {
                await pooler.remove()
                throw error
            }
            await pooler.remove()
        }
    }

    private func run(_ fleet: Fleet, through pooler: TestPooler) async throws {
        let pooled = ["DATABASE_URL": pooler.url]
        let expected = try await fleet.insert(48, tokens: 24)
        let direct = try fleet.startWorker()
        try await fleet.waitForAll(expected, within: 120)
        direct.signal(SIGTERM)
        #expect(await direct.wait() == 0)
        let answers = try await fleet.jobs(expected).map(\.result)

        let survivor = try fleet.startWorker(environment: pooled)
        let victim = try fleet.startWorker(environment: pooled)
        try await fleet.waitForWorkers(2)
        let ids = try await fleet.insert(48, tokens: 24)
        try await fleet.waitForRunningJobs(1, of: victim.id)
        await victim.kill()
        try await fleet.waitForAll(ids, within: 120)
        #expect(try await fleet.jobs(ids).map(\.result) == answers)
        try await fleet.waitForEvents(ids, within: 60)

        // A client's side: submit, wait, and cancel what runs.
        let submit = try TestProcess(
            "jobctl",
            ["submit", "generate", "--model", Fleet.model, "--prompt", "One, two,", "--max-tokens", "4", "--wait"],
            environment: fleet.environment.merging(pooled) { $1 })
        #expect(await submit.wait() == 0)
        let endless: JSONValue = ["prompt": "One, two,", "max_tokens": 8000, "ignore_eos": true]
        let long = try await fleet.store.enqueue([NewJob(kind: .generate, model: Fleet.model, input: endless)])[0]
        try await fleet.waitForRunningJobs(1, of: survivor.id)
        let cancel = try TestProcess(
            "jobctl", ["cancel", "\(long)"], environment: fleet.environment.merging(pooled) { $1 })
        #expect(await cancel.wait() == 0)
        try await eventually(within: 60, "the job stops") { try await fleet.store.job(long).state == .cancelled }
        survivor.signal(SIGTERM)
        #expect(await survivor.wait() == 0)
        let faults = try await fleet.store.faults()
        #expect(faults.isEmpty, "\(faults)")
    }
}
