// Stores what running jobs have so far, all of them in one statement at a time, and learns from the answer which of them
// are no longer this worker's.
import JSON
import JobModel
import JobStorage
import Logging
import Synchronization

final class ProgressReporter: Sendable {
    /// What a job has written and is not stored yet.
    private struct Stream: Sendable {
        let runToken: RunToken
        let modelDigest: String
        /// Under way, or sent without an answer: it is sent again as it is, so that it is stored once.
        var sent: StreamChunk?
        var next: StreamChunk?
    }

    private struct State: Sendable {
        var latest: [JobID: ProgressReport] = [:]
        var streams: [JobID: Stream] = [:]
    }

    /// Yields when a job has written so many tokens that they should be stored now.
    let isFull: AsyncStream<Void>

    private let store: any JobStore
    private let logger: Logger
    private let fullAfter: Int
    private let stored: @Sendable ([ChunkReport]) -> Void
    private let full: AsyncStream<Void>.Continuation
    private let state = Mutex(State())

    /// - Parameters:
    ///   - fullAfter: tokens of one job.
    ///   - stored: told of pieces that have been stored.
    init(
        store: any JobStore, logger: Logger, fullAfter: Int = .max,
        stored: @escaping @Sendable ([ChunkReport]) -> Void = { _ in }
    ) {
        self.store = store
        self.logger = logger
        self.fullAfter = fullAfter
        self.stored = stored
        (isFull, full) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    struct Sink: ProgressSink {
        let lease: Lease
        let reporter: ProgressReporter

        func report(_ progress: JSONValue) {
            let report = ProgressReport(id: lease.id, runToken: lease.runToken, progress: progress)
            reporter.state.withLock { $0.latest[lease.id] = report }
        }

        func append(_ chunk: StreamChunk, modelDigest: String) { reporter.append(chunk, modelDigest, of: lease) }
    }

    func sink(for lease: Lease) -> Sink { Sink(lease: lease, reporter: self) }

    private func append(_ chunk: StreamChunk, _ modelDigest: String, of lease: Lease) {
        let waiting = state.withLock { state in
            var stream = state.streams.removeValue(forKey: lease.id)
            if stream?.runToken != lease.runToken { stream = nil }
            var next =
                stream?.next
                ?? StreamChunk(firstToken: chunk.firstToken, firstByte: chunk.firstByte, tokens: [], text: "")
            next.append(chunk)
            state.streams[lease.id] = Stream(
                runToken: lease.runToken, modelDigest: modelDigest, sent: stream?.sent, next: next)
            return next.tokens.count
        }
        if waiting >= fullAfter { full.yield() }
    }

    /// Drops what this attempt reported and is not stored yet.
    func forget(_ lease: Lease) {
        state.withLock { state in
            if state.latest[lease.id]?.runToken == lease.runToken { state.latest[lease.id] = nil }
            if state.streams[lease.id]?.runToken == lease.runToken { state.streams[lease.id] = nil }
        }
    }

    /// Stores what came since the last call.
    /// - Returns: jobs to stop: those that a client cancelled, and the attempts whose lease is gone.
    func flush() async -> (cancelled: [JobID], lost: [JobID: RunToken]) {
        let (reports, chunks) = state.withLock { state in
            defer { state.latest = [:] }
            return (Array(state.latest.values), Self.takeChunks(&state.streams))
        }
        var cancelled: [JobID] = []
        var lost: [JobID: RunToken] = [:]
        func learn(_ attempts: [(JobID, RunToken)], _ held: [JobID: Bool]) {
            cancelled += attempts.map(\.0).filter { held[$0] == true }
            for (id, runToken) in attempts where held[id] == nil { lost[id] = runToken }
        }
        do throws(StoreError) {
            if !reports.isEmpty { learn(reports.map { ($0.id, $0.runToken) }, try await store.report(reports)) }
            if !chunks.isEmpty {
                let held = try await store.append(chunks)
                learn(chunks.map { ($0.id, $0.runToken) }, held)
                state.withLock { Self.forgetSent(chunks, &$0.streams) }
                stored(chunks.filter { held[$0.id] != nil })
            }
        } catch {
            // Pieces are sent again; of progress only news is lost, and newer news will come.
            logger.warning("progress of \(reports.count + chunks.count) jobs was not stored: \(error)")
        }
        return (cancelled, lost)
    }

    private static func takeChunks(_ streams: inout [JobID: Stream]) -> [ChunkReport] {
        var chunks: [ChunkReport] = []
        for (id, var stream) in streams {
            if stream.sent == nil { swap(&stream.sent, &stream.next) }
            streams[id] = stream
            guard let chunk = stream.sent else { continue }
            chunks.append(ChunkReport(id: id, runToken: stream.runToken, modelDigest: stream.modelDigest, chunk: chunk))
        }
        return chunks
    }

    private static func forgetSent(_ chunks: [ChunkReport], _ streams: inout [JobID: Stream]) {
        for report in chunks {
            guard var stream = streams[report.id], stream.runToken == report.runToken, stream.sent == report.chunk
            else {
                continue
            }
            stream.sent = nil
            streams[report.id] = stream.next == nil ? nil : stream
        }
    }
}
