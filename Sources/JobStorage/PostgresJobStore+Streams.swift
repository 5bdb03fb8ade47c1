// What running jobs have written, in PostgreSQL.
import JSON
import JobModel
import PostgresClient

extension PostgresJobStore {
    package func append(_ chunks: [ChunkReport]) async throws(StoreError) -> [JobID: Bool] {
        guard !chunks.isEmpty else { return [:] }
        let held = try await query(StreamSQL.append, StreamSQL.binds(chunks)) { row throws(PostgresError) in
            (try row.get("job_id", as: JobID.self), try row.get("cancel_requested", as: Bool.self))
        }
        return Dictionary(uniqueKeysWithValues: held)
    }

    package func readStream(_ id: JobID, after offset: Int) async throws(StoreError) -> StreamPart {
        try await query(StreamSQL.read, [id, offset], about: id) { row throws(PostgresError) in
            StreamPart(
                text: try row.get("text"), nextOffset: try row.get("next_offset"), hasEnded: try row.get("ended"))
        }[0]
    }

    /// The leases with what earlier attempts have written.
    func withWritten(_ leases: [Lease]) async throws(StoreError) -> [Lease] {
        let begun = leases.filter { $0.progress?["model_digest"] != nil }.map(\.id)
        guard !begun.isEmpty else { return leases }
        let written = try await query(StreamSQL.written, [begun]) { row throws(PostgresError) in
            let tokens = try row.get("tokens", as: [Int64].self).map { Int32(truncatingIfNeeded: $0) }
            return (try row.get("job_id", as: JobID.self), StreamChunk(tokens: tokens, text: try row.get("text")))
        }
        let byJob = Dictionary(uniqueKeysWithValues: written)
        return leases.map { lease in
            var lease = lease
            lease.written = byJob[lease.id]
            return lease
        }
    }
}

enum StreamSQL {
    static let append: SQL = "SELECT * FROM millrace.append_chunks($1, $2, $3, $4, $5, $6, $7)"
    static let read: SQL = "SELECT text, next_offset, ended FROM millrace.read_stream($1, $2)"
    static let written: SQL = "SELECT * FROM millrace.written($1)"

    static func binds(_ chunks: [ChunkReport]) -> [(any PostgresBindable)?] {
        [
            chunks.map(\.id), chunks.map(\.runToken), chunks.map(\.chunk.firstToken), chunks.map(\.chunk.firstByte),
            // An array for each job: as text, since arrays of PostgreSQL are rectangles.
            chunks.map { "{" + $0.chunk.tokens.map(String.init).joined(separator: ",") + "}" },
            chunks.map(\.chunk.text), chunks.map(\.modelDigest),
        ]
    }
}
