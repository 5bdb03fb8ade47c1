// Answers that are read while they grow, on workers that are killed, with Redis gone.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct StreamTests {
    /// Jobs whose state between two tokens is more than their tokens: penalties, log-probabilities, stop strings, constraints.
    private static let jobs: SQL = """
        INSERT INTO millrace.jobs (kind, model, cache, input)
        SELECT 'generate', 'smollm2-135m-instruct', false, '{"raw": true, "max_tokens": 300, "temperature": 0.9}' || input FROM (VALUES
            (jsonb '{"prompt": "Once upon a time", "seed": 1, "ignore_eos": true}'),
            ('{"prompt": "The emoji list: 🌍", "seed": 2, "repetition_penalty": 1.3, "frequency_penalty": 0.4, "ignore_eos": true}'),
            ('{"prompt": "One, two, three,", "seed": 3, "logprobs": 2, "ignore_eos": true}'),
            ('{"prompt": "A long story about a mill:", "seed": 4, "stop": ["\\n\\n\\n\\n", "xyzzy"], "ignore_eos": true}'),
            ('{"prompt": "A list of words:", "seed": 5, "structured_outputs": {"regex": "([a-zé]{1,9} ){120,200}"}}'),
            ('{"prompt": "Zahlen und Wörter:", "temperature": 0, "ignore_eos": true}')) AS job (input)
        RETURNING id
        """

    private func insert(_ fleet: Fleet) async throws -> ClosedRange<JobID> {
        let ids = try await fleet.pool.query(Self.jobs).map { try $0.get("id", as: JobID.self) }
        return ids.min()!...ids.max()!
    }

    /// Reads as clients do that come and go: each look begins where the one before ended.
    private func read(_ store: PostgresJobStore, _ id: JobID) async throws -> String {
        var text = ""
        try await eventually(within: 120, "the stream of job \(id) ends") {
            let part = try await store.readStream(id, after: text.utf8.count)
            text += part.text
            return part.hasEnded
        }
        return text
    }

    @Test func killedWorkersStreamsGoOnWithoutLossOrRepetition() async throws {
        try await Fleet.with { fleet in
            let survivor = try fleet.startWorker()
            let expected = try await insert(fleet)
            try await fleet.waitForAll(expected, within: 120)
            let answers = try await fleet.jobs(expected)
            #expect(answers.allSatisfy { $0.state == .succeeded }, "\(answers.compactMap(\.error))")
            survivor.signal(SIGTERM)
            #expect(await survivor.wait() == 0)

            let victim = try fleet.startWorker()
            let ids = try await insert(fleet)
            let readers = ids.map { id in Task { try await read(fleet.store, id) } }
            try await eventually(within: 60, "each has written something") {
                let count = try await fleet.pool.query("SELECT count(DISTINCT job_id) AS jobs FROM millrace.chunks")[0]
                return try count.get("jobs", as: Int.self) == ids.count
            }
            await victim.kill()
            let heir = try fleet.startWorker()
            try await fleet.waitForAll(ids, within: 120)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.map(\.result) == answers.map(\.result))
            #expect(jobs.contains { $0.attempt == 2 })
            for (job, reader) in zip(jobs, readers) {
                #expect(try await reader.value == job.result?["text"]?.stringValue)
            }
            let left = try await fleet.pool.query("SELECT count(*) AS chunks FROM millrace.chunks")[0]
            #expect(try left.get("chunks", as: Int.self) == 0)
            #expect(try await fleet.store.faults().map(\.description) == [])
            heir.signal(SIGTERM)
            #expect(await heir.wait() == 0)
        }
    }

    @Test func streamsAreToldToRedisAndReadWithoutIt() async throws {
        try await Fleet.with { fleet in
            let worker = try fleet.startWorker()
            let first = try await fleet.insert(1, tokens: 200)
            let streamed = try await fleet.jobctl(["stream", "\(first.lowerBound)", "--json"])
            #expect(streamed.status == 0)
            let text = try await fleet.store.job(first.lowerBound).result?["text"]?.stringValue ?? ""
            #expect(streamed.values.compactMap { $0["delta"]?.stringValue }.joined() == text)
            // The log hears every channel: the pieces of the stream follow each other.
            let pieces = fleet.events.messages.filter { $0.channel == StreamChunk.channel(of: first.lowerBound) }
                .compactMap { try? JSONValue(parsing: $0.payload) }
            #expect(!pieces.isEmpty)
            #expect(pieces.dropFirst().map { $0["offset"] } == pieces.dropLast().map { $0["next_offset"] })
            #expect(text.hasPrefix(pieces.compactMap { $0["text"]?.stringValue }.joined()))

            await fleet.redis.stop()
            let second = try await fleet.insert(1, tokens: 200)
            let id = "\(second.lowerBound)"
            let deaf = try await fleet.jobctl(["stream", id, "--json"])
            #expect(deaf.values.compactMap { $0["delta"]?.stringValue }.joined() == text)
            let rest = try await fleet.jobctl(["stream", id, "--from", "20", "--json"])
            #expect(
                rest.values.first?["delta"]?.stringValue == String(decoding: text.utf8.dropFirst(20), as: UTF8.self))
            worker.signal(SIGTERM)
            #expect(await worker.wait() == 0)
        }
    }
}
