// The worker's loop over the store in memory: what it claims, what it reports, what it drops.
import JSON
import JobModel
import JobStorage
import JobWorker
import Testing

@Suite(.timeLimit(.minutes(5))) struct WorkerTests {
    private static let done = Outcome.succeeded(result: ["text": "ok"], usage: ["total_tokens": 3])
    private static let failure = JobFailure(code: "unlucky", message: "try again")

    @Test func claimsWhatTheHandlerCanStartAndNoMore() async throws {
        let shop = Workshop(places: 3)
        let ids = try shop.enqueue(5)
        try await shop.run { events in
            var leases: [Lease] = []
            for _ in 0..<3 { leases.append(try await events.started()) }
            #expect(leases.map(\.id) == Array(ids[..<3]))
            #expect(try shop.store.queues().map(\.ready) == [2])
            // A place that is free again is filled at once, without a poll.
            #expect(try await shop.end(leases[1], Self.done).state == .succeeded)
            let fourth = try await events.started()
            #expect(fourth.id == ids[3])
            for lease in [leases[0], leases[2], fourth] { shop.handler.end(lease, Self.done) }
            let fifth = try await events.started()
            #expect(try await shop.end(fifth, Self.done).state == .succeeded)
        }
        #expect(shop.store.seen.claims.first == 3)
        #expect(shop.store.seen.claims.allSatisfy { (1...3).contains($0) })
        #expect(try shop.store.states(of: ids).values.allSatisfy { $0 == .succeeded })
    }

    @Test func wakesUpForItsQueuesOnly() async throws {
        let shop = Workshop(places: 1)
        try await shop.run { events in
            _ = try shop.enqueue()
            let first = try await events.started()
            shop.signal(.ready(queue: "another"))
            _ = try await shop.end(first, Self.done)
            let looks = shop.store.seen.claims.count
            shop.signal(.ready(queue: "another"))
            shop.signal(.ready(queue: nil))
            _ = try shop.enqueue()
            shop.handler.end(try await events.started(), Self.done)
            #expect(shop.store.seen.claims.count > looks)
        }
    }

    @Test func outcomesReachTheStore() async throws {
        let shop = Workshop(places: 1)
        try await shop.run { events in
            for (outcome, state) in [
                (Self.done, JobState.succeeded), (.failed(Self.failure), .failed),
                (.retry(Self.failure, after: 60), .scheduled), (.retry(Self.failure, after: nil), .scheduled),
            ] {
                _ = try shop.enqueue()
                let job = try await shop.end(try await events.started(), outcome)
                #expect(job.state == state && job.attempt == 1)
                #expect(job.result == (state == .succeeded ? ["text": "ok"] : JSONValue?.none))
                #expect(job.error == (state == .succeeded ? JSONValue?.none : Self.failure.json))
            }
        }
    }

    @Test func aRetryAtOnceRunsAgainOnTheSameWorker() async throws {
        let shop = Workshop(places: 1)
        let id = try shop.enqueue()[0]
        try await shop.run { events in
            for attempt in 1...3 {
                let lease = try await events.started()
                #expect(lease.id == id && lease.attempt == attempt)
                shop.handler.end(lease, attempt == 3 ? Self.done : .retry(Self.failure, after: 0))
            }
        }
        #expect(try shop.store.job(id).state == .succeeded)
        #expect(try shop.store.attempts(of: id).map(\.ending) == [.retried, .retried])
    }

    @Test func cancelledJobsStopWithWhatTheyHave() async throws {
        let shop = Workshop(places: 2)
        let ids = try shop.enqueue(2)
        try await shop.run { events in
            let (first, second) = (try await events.started(), try await events.started())
            #expect(try shop.store.cancel(ids[0]) == .running)
            shop.signal(.cancel(ids[0]))
            shop.signal(.cancel(4711))
            #expect(try await events.stopped() == first)
            let job = try await shop.settled(first)
            #expect(job.state == .cancelled && job.result == ["text": "half"])
            #expect(try await shop.end(second, Self.done).state == .succeeded)
        }
    }

    /// Upkeep is the work of every worker.
    @Test func ticksPromoteAndRescue() async throws {
        let shop = Workshop(places: 2, poll: 0.005)
        let other = WorkerID()
        try shop.store.register(WorkerRegistration(id: other, name: "dead", host: "h", processID: 1, profile: [:]))
        let lost = try shop.store.enqueue([NewJob(kind: .noop, input: [:])])[0]
        _ = try shop.store.memory.claim(
            ClaimRequest(worker: other, queues: ["default"], kinds: [.noop], models: [], maximum: 1))
        let late = try shop.enqueue(delay: 60)[0]
        shop.advance(120)
        try await shop.run { events in
            let leases = [try await events.started(), try await events.started()]
            #expect(Set(leases.map(\.id)) == [lost, late])
            #expect(leases.first { $0.id == lost }?.attempt == 2)
            for lease in leases { #expect(try await shop.end(lease, Self.done).state == .succeeded) }
        }
    }

    // MARK: Fencing

    /// Progress of an attempt is refused: it is stopped, nothing of it is reported, and the log says so.
    @Test func anAttemptWhoseLeaseIsGoneIsStopped() async throws {
        let shop = Workshop(places: 1, poll: 0.005)
        let id = try shop.enqueue()[0]
        try await shop.run { events in
            let lease = try await events.started()
            _ = try shop.store.memory.complete([Completion(lease: lease, outcome: .retry(Self.failure, after: 3600))])
            shop.handler.report(lease, ["text": "a"])
            #expect(try await events.stopped() == lease)
            _ = try shop.enqueue()
            let next = try await events.started()
            #expect(next.id != id)
            shop.handler.end(next, Self.done)
        }
        #expect(try shop.store.job(id).state == .scheduled)
        #expect(try shop.store.progress(of: id) == nil)
        #expect(shop.messages(.info, job: id) == ["attempt dropped: its lease is gone"])
    }

    @Test func anOutcomeThatComesTooLateIsDropped() async throws {
        let shop = Workshop(places: 1)
        let id = try shop.enqueue()[0]
        try await shop.run { events in
            let lease = try await events.started()
            _ = try shop.store.memory.complete([Completion(lease: lease, outcome: .failed(Self.failure))])
            shop.handler.end(lease, Self.done)
            _ = try shop.enqueue()
            shop.handler.end(try await events.started(), Self.done)
        }
        #expect(try shop.store.job(id).state == .failed)
        #expect(shop.messages(.info, job: id) == ["outcome dropped: the attempt's lease is gone"])
    }

    /// A heartbeat that finds the worker dead stops everything; it starts over under a new id and takes the jobs again.
    @Test func aWorkerThatWasFoundDeadDropsItsJobsAndStartsOver() async throws {
        let shop = Workshop(places: 2, beats: true)
        let ids = try shop.enqueue(2)
        try await shop.run { events in
            let old = [try await events.started(), try await events.started()]
            let before = try shop.store.workers().map(\.id)
            try shop.passesForDead()
            let stopped = [try await events.stopped(), try await events.stopped()]
            #expect(Set(stopped.map(\.runToken)) == Set(old.map(\.runToken)))
            var new: [Lease] = []
            for _ in ids { new.append(try await events.started()) }
            #expect(new.map(\.id) == ids && new.allSatisfy { $0.attempt == 2 })
            #expect(try shop.store.workers().map(\.id) != before)
            for lease in new { #expect(try await shop.end(lease, Self.done).state == .succeeded) }
        }
        for id in ids {
            #expect(shop.messages(.info, job: id) == ["attempt dropped: its lease is gone"])
            #expect(try shop.store.attempts(of: id).map(\.ending) == [.lost])
        }
        #expect(
            shop.log.entries.contains { $0.message.description.hasSuffix("was found dead; its 2 jobs are dropped") })
        #expect(try shop.store.workers().isEmpty)
    }

    /// Without a heartbeat the refused claim tells.
    @Test func aClaimOfADeadWorkerStartsItOver() async throws {
        let shop = Workshop(places: 1)
        try await shop.run { events in
            let first = try shop.enqueue()[0]
            let old = try await events.started()
            try shop.passesForDead()
            shop.handler.end(old, Self.done)
            let again = try await events.started()
            #expect(again.id == first && again.attempt == 2)
            #expect(try await shop.end(again, Self.done).state == .succeeded)
        }
    }

    @Test func aClaimWhoseAnswerWasLostIsHandedBackAndRuns() async throws {
        let shop = Workshop(places: 2, poll: 0.005)
        shop.store.loseClaims(1)
        let id = try shop.enqueue()[0]
        try await shop.run { events in
            let lease = try await events.started()
            #expect(lease.id == id && lease.attempt == 1)
            #expect(try await shop.end(lease, Self.done).state == .succeeded)
        }
        #expect(try shop.store.attempts(of: id).map(\.ending) == [.released])
        #expect(shop.messages(.notice, job: id) == ["a claim's answer was lost, its job goes back"])
    }

    // MARK: Drain

    @Test func drainLetsRunningJobsEndAndTakesNoMore() async throws {
        let shop = Workshop(places: 1)
        let ids = try shop.enqueue(2)
        try await shop.run { events in
            let lease = try await events.started()
            shop.worker.drain()
            shop.handler.end(lease, Self.done)
        }
        #expect(try shop.store.states(of: ids) == [ids[0]: .succeeded, ids[1]: .ready])
        #expect(try shop.store.workers().isEmpty)
        #expect(shop.handler.isShutDown)
    }

    @Test func whatDoesNotEndInTimeIsHandedBackWithWhatItHas() async throws {
        let shop = Workshop(places: 2, drainTimeout: 0)
        let ids = try shop.enqueue(2)
        try await shop.run { events in
            for _ in ids { shop.handler.report(try await events.started(), ["text": "half"]) }
            shop.worker.drain()
        }
        for id in ids {
            let job = try shop.store.job(id)
            #expect(job.state == .ready && job.attempt == 0)
            #expect(try shop.store.progress(of: id) == ["text": "half"])
            #expect(try shop.store.attempts(of: id).map(\.ending) == [.released])
        }
        #expect(try shop.store.workers().isEmpty)
    }

    /// Both pieces of news wait for the loop while it claims.
    @Test func aWorkerThatIsFoundDeadWhileItDrainsEnds() async throws {
        let shop = Workshop(places: 1, beats: true)
        let (claims, claim) = AsyncStream.makeStream(of: Void.self)
        let (opened, opening) = AsyncStream.makeStream(of: Void.self)
        shop.store.onClaim {
            claim.yield()
            for await _ in opened { break }
        }
        try await shop.run { _ in
            for await _ in claims { break }
            try shop.passesForDead()
            shop.worker.drain()
            opening.finish()
        }
        #expect(shop.handler.isShutDown)
        #expect(try shop.store.workers().isEmpty)
    }

    @Test func aDrainEndsTheWaitForTheDatabase() async throws {
        let shop = Workshop(places: 1)
        shop.store.refuseRegistrations(.max)
        try await shop.run { _ in }
        #expect(shop.handler.isShutDown)
        #expect(shop.store.seen.claims.isEmpty)
    }

    @Test func registrationIsTriedUntilItSucceeds() async throws {
        let shop = Workshop(places: 1)
        shop.store.refuseRegistrations(1)
        _ = try shop.enqueue()
        try await shop.run { events in shop.handler.end(try await events.started(), Self.done) }
        #expect(shop.log.entries.count { $0.level == .error } == 1)
    }
}
