// What can be seen of a store, in terms that do not depend on how it numbers things, and what must hold of it.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import Synchronization

/// A store's refusal: which kind it is, not how it is worded.
enum Fault: Error, Equatable {
    case refused(field: String)
    case noSuchJob, wrongState, workerLost, other(String)

    init(_ error: StoreError) {
        switch error {
        case .refused(let message): self = .refused(field: String(message.prefix { $0 != ":" }))
        case .noSuchJob: self = .noSuchJob
        case .wrongState: self = .wrongState
        case .workerLost: self = .workerLost
        case .unavailable(let message), .broken(let message): self = .other(message)
        }
    }
}

struct ObservedJob: Equatable {
    var state: JobState
    var attempt: Int
    var maximumAttempts: Int
    var failures: Int
    var workerDeaths: Int
    var result: JSONValue?
    var error: JSONValue?
    var usage: JSONValue?
    var hasStarted: Bool
    var hasFinished: Bool

    init(_ job: Job) {
        state = job.state
        attempt = job.attempt
        maximumAttempts = job.maximumAttempts
        failures = job.failures
        workerDeaths = job.workerDeaths
        result = job.result
        // The stores number independently, and this one's message names a job.
        error = job.error?["code"] == "dependency_failed" ? "dependency_failed" : job.error
        usage = job.usage
        hasStarted = job.startedAt != nil
        hasFinished = job.finishedAt != nil
    }
}

struct ObservedEvent: Equatable {
    var job: Int
    var state: JobState?
    var attempt: Int?
    var result: JSONValue?
}

struct Observation: Equatable {
    var jobs: [ObservedJob] = []
    var events: [ObservedEvent] = []
    var workers: [String] = []
    var queues: [String] = []
}

private struct NotTaken: Error {}

extension Simulation.Side {
    /// Events, oldest first; with `fails` they stay.
    func take(_ maximum: Int, fails: Bool) async throws -> [ObservedEvent] {
        let taken = TakenEvents()
        do {
            _ = try await store.relayEvents(maximum: maximum) { events in
                await taken.add(events)
                if fails { throw NotTaken() }
            }
        } catch is NotTaken {}
        return await taken.events.map { event in
            ObservedEvent(
                job: index(event.id), state: event.state, attempt: event.payload["attempt"]?.intValue,
                result: event.result)
        }
    }

    func observe() async throws -> Observation {
        var observation = Observation()
        if let store = store as? PostgresJobStore {
            let jobs = try await store.list(limit: 100_000)
            observation.jobs = jobs.reversed().map(ObservedJob.init)
        } else {
            for id in ids { observation.jobs.append(ObservedJob(try await store.job(id))) }
        }
        observation.events = try await take(100_000, fails: true)
        observation.workers = try await store.workers().map { "\($0.id) \($0.state) \($0.running)" }.sorted()
        observation.queues = try await store.queues().map { queue in
            "\(queue.queue) \(queue.isPaused) \(queue.ready) \(queue.scheduled) \(queue.running) \(queue.dead)"
        }
        return observation
    }

    /// What is too dear to look at after every step.
    func history() async throws -> [String] {
        var lines: [String] = []
        for id in ids {
            let progress = try await store.progress(of: id)?.text() ?? ""
            let attempts = try await store.attempts(of: id)
            lines.append(
                progress + attempts.map { " \($0.attempt) \($0.ending) \($0.error?.text() ?? "")" }.joined())
        }
        return lines
    }
}

extension Simulation {
    /// Both stores look alike, and what must hold of a queue holds.
    mutating func compare() async throws {
        let expected = try await model.observe()
        // Whether a worker is alive is a matter of the time of looking.
        try await goOn()
        let found = try await real.observe()
        guard expected == found else { throw disagree("expected \(expected)\nfound \(found)") }
        if log.count % 20 == 0 || found.jobs.allSatisfy(\.state.isFinal) {
            let (expected, found) = (try await model.history(), try await real.history())
            guard expected == found else { throw disagree("history: expected \(expected)\nfound \(found)") }
        }
        // Exactly one event for each time that a job ended.
        var events = published
        for event in found.events { events[event.job, default: 0] += 1 }
        for (job, observed) in found.jobs.enumerated() {
            let ends = retriesByHand[job, default: 0] + (observed.state.isFinal ? 1 : 0)
            guard events[job, default: 0] == ends else {
                throw disagree("job \(job) ended \(ends) times, with \(events[job, default: 0]) events")
            }
        }
        let contradictions = try await PostgresJobStore(pool: pool).faults()
        guard contradictions.isEmpty else { throw disagree("the tables contradict each other: \(contradictions)") }
        last = found
    }
}
