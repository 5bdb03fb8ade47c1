// What running jobs write: added piece by piece, gone on with elsewhere, read from any place.
import JSON
import JobModel
import JobStorage
import TestSupport
import Testing

@Suite struct StreamTests {
    private static let text = "Grüße, 世界! 🌍 e\u{301}"

    /// A piece for each scalar, with a token each.
    private static let pieces: [StreamChunk] = {
        var end = StreamChunk(tokens: [], text: "")
        return text.unicodeScalars.enumerated().map { index, scalar in
            let piece = StreamChunk(
                firstToken: end.nextToken, firstByte: end.nextByte, tokens: [Int32(index)], text: String(scalar))
            end.append(piece)
            return piece
        }
    }()

    private func report(_ lease: Lease, _ piece: StreamChunk, digest: String = "d") -> ChunkReport {
        ChunkReport(id: lease.id, runToken: lease.runToken, modelDigest: digest, chunk: piece)
    }

    private func expectEveryPlace(_ store: any JobStore, _ id: JobID, ended: Bool) async throws {
        for piece in Self.pieces {
            let part = try await store.readStream(id, after: piece.firstByte)
            let rest = String(decoding: Self.text.utf8.dropFirst(piece.firstByte), as: UTF8.self)
            #expect(Array(part.text.utf8) == Array(rest.utf8))
            #expect(part.nextOffset == Self.text.utf8.count && part.hasEnded == ended)
        }
        let past = try await store.readStream(id, after: 1000)
        #expect(past == StreamPart(text: "", nextOffset: 1000, hasEnded: ended))
        for offset in [-1, 3] {
            let error = await #expect(throws: StoreError.self) { try await store.readStream(id, after: offset) }
            #expect("\(error!)".hasPrefix("after_offset: "))
        }
    }

    @Test(arguments: StoreKind.allCases) func readersComeBackToAnyPlace(_ kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { test in
            let store = test.store
            let id = try await store.enqueueOne()
            let worker = try await store.worker()
            let lease = try await store.claim(worker, 1)[0]
            #expect(try await store.readStream(id, after: 0) == StreamPart(text: "", nextOffset: 0, hasEnded: false))
            for piece in Self.pieces { #expect(try await store.append([report(lease, piece)]) == [id: false]) }
            // The answer was lost: once more.
            #expect(try await store.append([report(lease, Self.pieces.last!)]) == [id: false])
            try await expectEveryPlace(store, id, ended: false)
            #expect(try await store.cancel(id) == .running)
            #expect(try await store.append([report(lease, Self.pieces[0])]) == [id: true])
            let result: JSONValue = ["text": .string(Self.text)]
            #expect(try await store.complete(lease, .cancelled(result: result, usage: nil)) == .cancelled)
            try await expectEveryPlace(store, id, ended: true)
            #expect(try await store.append([report(lease, Self.pieces[0])]) == [:])
            await #expect(throws: StoreError.self) { try await store.readStream(id + 1, after: 0) }
            if let store = store as? PostgresJobStore { #expect(try await store.faults().map(\.description) == []) }
        }
    }

    @Test(arguments: StoreKind.allCases) func anotherWorkerGoesOn(_ kind: StoreKind) async throws {
        try await StoreUnderTest.with(kind) { test in
            let store = test.store
            let id = try await store.enqueueOne()
            let stale = try await store.claim(try await store.worker(), 1)[0]
            #expect(stale.written == nil)
            let half = Self.pieces.count / 2
            for piece in Self.pieces[..<half] { _ = try await store.append([report(stale, piece)]) }
            try await test.advance(60)
            #expect(try await store.maintain(maximum: 1).rescued == 1)
            #expect(try await store.append([report(stale, Self.pieces[half])]) == [:])
            // Between the attempts it can be read, too.
            #expect(try await store.readStream(id, after: 0).text.utf8.count == Self.pieces[half].firstByte)

            let lease = try await store.claim(try await store.worker(), 1)[0]
            #expect(lease.progress == ["model_digest": "d"])
            #expect(lease.written?.tokens == (0..<Int32(half)).map { $0 })
            for piece in Self.pieces[half...] { _ = try await store.append([report(lease, piece)]) }
            #expect(try await store.append([report(stale, Self.pieces[0])]) == [:])
            try await expectEveryPlace(store, id, ended: false)

            // A model of other bytes begins anew, and what was there is gone.
            #expect(try await store.complete(lease, .released()) == .ready)
            let third = try await store.claim(try await store.worker(), 1)[0]
            #expect(third.written?.tokens.count == Self.pieces.count)
            let other = StreamChunk(tokens: [7], text: "other")
            #expect(try await store.append([report(third, other, digest: "e")]) == [id: false])
            #expect(try await store.readStream(id, after: 0).text == "other")
            #expect(try await store.progress(of: id) == ["model_digest": "e"])
            #expect(try await store.complete(third, .failed(Outcome.unlucky)) == .failed)
            #expect(try await store.readStream(id, after: 0) == StreamPart(text: "", nextOffset: 0, hasEnded: true))
            if let store = store as? PostgresJobStore { #expect(try await store.faults().map(\.description) == []) }
        }
    }
}
