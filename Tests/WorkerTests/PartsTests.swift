// The worker's parts, each alone.
import InMemoryLogging
import JSON
import JobModel
import JobStorage
import Logging
import Synchronization
import Testing

@testable import JobWorker

@Suite(.timeLimit(.minutes(5))) struct PartsTests {
    private static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    private static let done = Outcome.succeeded(result: [:], usage: nil)

    /// So many claimed jobs.
    private static func leases(_ count: Int) throws -> (ObservedStore, [Lease]) {
        let store = ObservedStore(MemoryJobStore())
        let worker = WorkerID()
        try store.register(WorkerRegistration(id: worker, name: "w", host: "h", processID: 1, profile: [:]))
        _ = try store.enqueue((0..<count).map { _ in NewJob(kind: .noop, input: [:]) })
        let request = ClaimRequest(
            worker: worker, queues: ["default"], kinds: [.noop], models: [], maximum: count)
        return (store, try store.memory.claim(request))
    }

    // MARK: Completer

    /// While one transaction is under way, the next batch gathers.
    @Test func completionsGatherIntoBatches() async throws {
        let (store, leases) = try Self.leases(1201)
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let (opened, opening) = AsyncStream.makeStream(of: Void.self)
        let isFirst = Mutex(true)
        store.onComplete { _ throws(StoreError) in
            guard
                isFirst.withLock({ first in
                    defer { first = false }; return first
                })
            else { return }
            arrival.yield()
            for await _ in opened { break }
        }
        let completer = Completer(store: store, logger: Self.logger)
        let states = await withTaskGroup(of: JobState?.self) { group in
            group.addTask { await completer.complete(Completion(lease: leases[0], outcome: Self.done)) }
            for await _ in arrived { break }
            for lease in leases.dropFirst() {
                group.addTask { await completer.complete(Completion(lease: lease, outcome: Self.done)) }
            }
            while await completer.waiting < 1200 { await Task.yield() }
            opening.yield()
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(states.count == 1201 && states.allSatisfy { $0 == .succeeded })
        #expect(store.seen.completions.map(\.count) == [1, 500, 500, 200])
    }

    @Test func outcomesWaitForTheDatabase() async throws {
        let (store, leases) = try Self.leases(1)
        let tries = Mutex(0)
        store.onComplete { _ throws(StoreError) in
            if tries.withLock({
                $0 += 1; return $0
            }) <= 2 {
                throw .unavailable("no database")
            }
        }
        let completer = Completer(store: store, logger: Self.logger)
        #expect(await completer.complete(Completion(lease: leases[0], outcome: Self.done)) == .succeeded)
        #expect(tries.withLock { $0 } == 3)
        #expect(await completer.complete(Completion(lease: leases[0], outcome: Self.done)) == nil)
    }

    /// One outcome that the database refuses fails its own job, with the reason, and no other.
    @Test func aRefusedOutcomeFailsItsJobAlone() async throws {
        let (store, leases) = try Self.leases(3)
        let bad = leases[1].id
        store.onComplete { completions throws(StoreError) in
            if completions.contains(where: { $0.lease.id == bad && $0.outcome == Self.done }) {
                throw .broken("unsupported Unicode escape sequence")
            }
        }
        let completer = Completer(store: store, logger: Self.logger)
        let states = await withTaskGroup(of: (JobID, JobState?).self) { group in
            for lease in leases {
                group.addTask { (lease.id, await completer.complete(Completion(lease: lease, outcome: Self.done))) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(states == [leases[0].id: .succeeded, bad: .failed, leases[2].id: .succeeded])
        let error = try store.job(bad).error
        #expect(error?["code"] == "result_refused")
        #expect(error?["message"]?.stringValue?.contains("unsupported Unicode") == true)
    }

    // MARK: ProgressReporter

    @Test func theLatestProgressOfEachJobGoesOutAtOnce() async throws {
        let (store, leases) = try Self.leases(3)
        let reporter = ProgressReporter(store: store, logger: Self.logger)
        let nothing = await reporter.flush()
        #expect(nothing.cancelled.isEmpty && nothing.lost.isEmpty && store.seen.reports.isEmpty)
        for lease in leases {
            let sink = reporter.sink(for: lease)
            sink.report(["text": "a"])
            sink.report(["text": "ab"])
        }
        reporter.forget(leases[2])
        #expect(try store.cancel(leases[0].id) == .running)
        let stops = await reporter.flush()
        #expect(stops.cancelled == [leases[0].id] && stops.lost.isEmpty)
        #expect(store.seen.reports.map { $0.sorted() } == [[leases[0].id, leases[1].id]])
        #expect(try store.progress(of: leases[1].id) == ["text": "ab"])
        #expect(try store.progress(of: leases[2].id) == nil)
    }

    @Test func staleProgressNamesItsAttempt() async throws {
        let (store, leases) = try Self.leases(1)
        let reporter = ProgressReporter(store: store, logger: Self.logger)
        reporter.sink(for: leases[0]).report(["text": "a"])
        _ = try store.memory.complete([Completion(lease: leases[0], outcome: .released())])
        let stops = await reporter.flush()
        #expect(stops.lost == [leases[0].id: leases[0].runToken] && stops.cancelled.isEmpty)
        // What a later attempt of the job says is not dropped with the earlier one.
        var later = leases[0]
        later.runToken += 1
        reporter.sink(for: later).report(["text": "b"])
        reporter.forget(leases[0])
        #expect(await reporter.flush().lost == [later.id: later.runToken])
    }

    @Test func progressThatCantBeStoredStopsNothing() async throws {
        let (store, leases) = try Self.leases(1)
        store.failReports(1)
        let reporter = ProgressReporter(store: store, logger: Self.logger)
        reporter.sink(for: leases[0]).report(["text": "a"])
        let stops = await reporter.flush()
        #expect(stops.cancelled.isEmpty && stops.lost.isEmpty)
        reporter.sink(for: leases[0]).report(["text": "ab"])
        _ = await reporter.flush()
        #expect(try store.progress(of: leases[0].id) == ["text": "ab"])
    }

    @Test func piecesAreStoredOnceAndInOrder() async throws {
        let (store, leases) = try Self.leases(1)
        let told = Mutex<[StreamChunk]>([])
        let reporter = ProgressReporter(store: store, logger: Self.logger, fullAfter: 3) { chunks in
            told.withLock { $0 += chunks.map(\.chunk) }
        }
        let sink = reporter.sink(for: leases[0])
        var end = StreamChunk(tokens: [], text: "")
        func write(_ tokens: Int32...) {
            for token in tokens {
                let chunk = StreamChunk(
                    firstToken: end.nextToken, firstByte: end.nextByte, tokens: [token], text: "é\(token)")
                sink.append(chunk, modelDigest: "d")
                end.append(chunk)
            }
        }
        // The answer is lost: what was sent is sent again as it was, and what came meanwhile goes behind it.
        store.failReports(1)
        write(1, 2)
        _ = await reporter.flush()
        write(3, 4)
        for _ in 0..<4 { _ = await reporter.flush() }
        #expect(store.seen.chunks.map { $0.map(\.tokens) } == [[[1, 2]], [[3, 4]]])
        #expect(store.seen.chunks.map { $0[0].firstByte } == [0, 6])
        #expect(told.withLock { $0 } == store.seen.chunks.flatMap(\.self))
        #expect(try store.readStream(leases[0].id, after: 0).text == end.text)
        write(5, 6, 7)
        var full = reporter.isFull.makeAsyncIterator()
        #expect(await full.next() != nil)
        // A lost lease: nothing more is stored, and nobody is told.
        _ = try store.memory.complete([Completion(lease: leases[0], outcome: .released())])
        #expect(await reporter.flush().lost == [leases[0].id: leases[0].runToken])
        #expect(told.withLock(\.count) == 2)
    }

    // MARK: Inbox

    @Test func notesGatherUnderOneRing() async {
        let inbox = Inbox()
        inbox.leave { $0.look = true }
        inbox.leave { $0.cancelled.insert(7) }
        inbox.leave { $0.stale[8] = 80 }
        var rings = inbox.rings.makeAsyncIterator()
        await rings.next()
        let notes = inbox.take()
        #expect(notes.look && notes.cancelled == [7] && notes.stale == [8: 80])
        #expect(notes.lost.isEmpty && !notes.drain && !notes.timeUp && !notes.ended)
        #expect(!inbox.take().look)
        inbox.leave { $0.ended = true }
        await rings.next()
        #expect(inbox.take().ended)
    }

    // MARK: Heartbeat

    @Test func beatsUntilItIsStopped() async {
        let seen = Mutex<[Bool]>([])
        let (beaten, beat) = AsyncStream.makeStream(of: Void.self)
        let heartbeat = Heartbeat(interval: 3600, logger: Self.logger) {
            { isDraining in
                seen.withLock { $0.append(isDraining) }
                beat.yield()
                return Pulse(isAlive: true, cancelled: [7])
            }
        }
        var beats = beaten.makeAsyncIterator()
        var events = heartbeat.events.makeAsyncIterator()
        await beats.next()
        // The news that it takes no more jobs goes out at once.
        heartbeat.drain()
        await beats.next()
        #expect(seen.withLock { $0 } == [false, true])
        #expect(await events.next() == .cancelled([7]))
        #expect(await events.next() == .cancelled([7]))
        heartbeat.stop()
        #expect(await events.next() == nil)
    }

    @Test func failedBeatsAreTriedAgainAndADeadWorkerIsTold() async {
        let count = Mutex(0)
        let log = InMemoryLogHandler()
        let heartbeat = Heartbeat(interval: 0.001, logger: Logger(label: "test", factory: { _ in log })) {
            { _ in
                switch count.withLock({
                    $0 += 1; return $0
                }) {
                case 1: Pulse(isAlive: true, cancelled: [])
                case 2, 3: throw StoreError.unavailable("no database")
                case 4: Pulse(isAlive: true, cancelled: [])
                default: Pulse(isAlive: false, cancelled: [])
                }
            }
        }
        var events = heartbeat.events.makeAsyncIterator()
        #expect(await events.next() == .lost)
        #expect(await events.next() == nil)
        #expect(log.entries.map(\.level) == [.warning, .notice])
    }
}
