// What running jobs have written: as migrations/0018_streams.
import JSON
import JobModel

extension MemoryQueue {
    /// A stored piece.
    struct Piece: Sendable {
        let runToken: RunToken
        let chunk: StreamChunk
    }

    mutating func append(_ reports: [ChunkReport]) -> [JobID: Bool] {
        var held: [JobID: Bool] = [:]
        for report in reports {
            guard let lease = leases[report.id], lease.runToken == report.runToken else { continue }
            held[report.id] = lease.isCancelRequested
            var pieces = entries[report.id]!.pieces
            if report.chunk.firstToken == 0 {
                // An attempt that begins at the beginning writes another text, for its model has other bytes.
                pieces.removeAll { $0.runToken != report.runToken }
                entries[report.id]!.progress = ["model_digest": .string(report.modelDigest)]
            }
            if !pieces.contains(where: { $0.chunk.firstToken == report.chunk.firstToken }) {
                pieces.append(Piece(runToken: report.runToken, chunk: report.chunk))
            }
            entries[report.id]!.pieces = pieces
        }
        return held
    }

    func written(_ id: JobID) -> StreamChunk? {
        let pieces = entries[id]!.pieces.map(\.chunk)
        guard var whole = pieces.first else { return nil }
        for piece in pieces.dropFirst() { whole.append(piece) }
        return whole
    }

    func readStream(_ id: JobID, after offset: Int) throws(StoreError) -> StreamPart {
        guard offset >= 0 else { throw .refused("after_offset: must be 0 or more") }
        let job = try job(id)
        let text = job.state.isFinal ? job.result?["text"]?.stringValue ?? "" : written(id)?.text ?? ""
        guard let rest = String(validating: text.utf8.dropFirst(offset), as: UTF8.self) else {
            throw .refused("after_offset: is inside a character")
        }
        return StreamPart(text: rest, nextOffset: offset + rest.utf8.count, hasEnded: job.state.isFinal)
    }
}
