// Prints an answer while it grows, from what the worker stores of it. Redis only says when to look: nothing is missed without it.
import ArgumentParser
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import RedisClient

struct AnswerStream {
    let store: PostgresJobStore
    let common: CommonOptions

    /// - Parameter offset: bytes of the text that are known already.
    /// - Throws: `ExitCode.jobNotSucceeded` at the end when it did not succeed.
    func follow(_ id: JobID, from offset: Int = 0) async throws {
        var offset = offset
        // Subscribed before the first look, so that no piece falls between the two.
        let subscriber = RedisSubscriber(
            try common.redisConfiguration(), channels: [StreamChunk.channel(of: id), JobEvent.channel(of: id)])
        let ticks = Ticks(wake: JobWaiter.wakes(subscriber), interval: 0.5)
        defer { subscriber.stop() }
        var isAway = false
        for await _ in ticks.stream {
            do {
                let part = try await store.readStream(id, after: offset)
                if isAway { common.say("The database is back.") }
                isAway = false
                show(part.text, id, offset)
                offset = part.nextOffset
                if part.hasEnded { return try await end(id) }
            } catch StoreError.unavailable(let reason) {
                if !isAway { common.say("\(reason); still waiting") }
                isAway = true
            }
        }
    }

    private func show(_ text: String, _ id: JobID, _ offset: Int) {
        guard !text.isEmpty else { return }
        if common.json {
            let piece: JSONValue = ["id": .integer(id), "offset": .integer(Int64(offset)), "delta": .string(text)]
            print(piece.text())
        } else {
            print(text, terminator: "")
        }
        fflush(nil)
    }

    private func end(_ id: JobID) async throws {
        let job = try await store.job(id)
        let hasText = job.state == .succeeded && job.result?["text"] != nil
        common.show(job.json, text: hasText ? "" : job.answer)
        if job.state != .succeeded { throw ExitCode.jobNotSucceeded }
    }
}
