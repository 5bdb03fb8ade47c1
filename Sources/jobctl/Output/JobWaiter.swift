// Waits for jobs to end: hears it from Redis at once, and asks the database anyway, so that neither a missed message nor
// an absent Redis can keep it waiting.
import ArgumentParser
import Foundation
import JobModel
import JobStorage
import RedisClient

struct JobWaiter {
    let store: PostgresJobStore
    let redis: RedisConfiguration
    /// When waiting is over; nil waits as long as it takes.
    let deadline: Date?
    /// Told of a database that goes and comes while jobs are waited for.
    let say: (String) -> Void

    /// - Parameter ended: called once for each job, in the order in which they end.
    /// - Throws: `ExitCode.timedOut` at the deadline.
    func wait(for ids: [JobID], _ ended: (JobID, JobState) async throws -> Void) async throws {
        // Subscribed before the first look, so that no end falls between the two.
        let subscriber = RedisSubscriber(redis, channels: [JobEvent.channel])
        let ticks = Ticks(wake: Self.wakes(subscriber), interval: 1)
        defer { subscriber.stop() }
        var open = Set(ids)
        var isAway = false
        for await _ in ticks.stream {
            do {
                try await look(at: &open, ended)
                if isAway { say("The database is back.") }
                isAway = false
            } catch StoreError.unavailable(let reason) {
                // The jobs go on; so does the wait for them.
                if !isAway { say("\(reason); still waiting") }
                isAway = true
            }
            if open.isEmpty { return }
            if let deadline, deadline < Date() { throw ExitCode.timedOut }
        }
    }

    private func look(at open: inout Set<JobID>, _ ended: (JobID, JobState) async throws -> Void) async throws {
        for chunk in Array(open).chunked(by: 10_000) {
            let states = try await store.states(of: chunk)
            for id in chunk.sorted() {
                guard let state = states[id] else { throw StoreError.noSuchJob(id) }
                guard state.isFinal else { continue }
                try await ended(id, state)
                open.remove(id)
            }
        }
    }

    static func wakes(_ subscriber: RedisSubscriber) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        Task {
            for await _ in subscriber.events { continuation.yield() }
            continuation.finish()
        }
        return stream
    }
}

extension Array {
    fileprivate func chunked(by size: Int) -> [[Element]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
