// A piece of what a running job writes, and how readers get it.
import JSON

/// Pieces are only ever added, each where the one before ends.
package struct StreamChunk: Sendable, Equatable {
    /// Tokens before it.
    package var firstToken: Int
    /// Bytes of text before it, in UTF-8.
    package var firstByte: Int
    package var tokens: [Int32]
    /// What became certain with them: whole characters, without what may be the beginning of a stop string.
    package var text: String

    package init(firstToken: Int = 0, firstByte: Int = 0, tokens: [Int32], text: String) {
        self.firstToken = firstToken
        self.firstByte = firstByte
        self.tokens = tokens
        self.text = text
    }

    package var nextToken: Int { firstToken + tokens.count }
    package var nextByte: Int { firstByte + text.utf8.count }

    /// - Parameter later: begins where this ends.
    package mutating func append(_ later: StreamChunk) {
        tokens += later.tokens
        text += later.text
    }

    package static func channel(of job: JobID) -> String { "millrace:stream:\(job)" }

    /// As it goes over the wire. `seq` only grows; who has not read up to `offset` has missed something.
    package func payload(of job: JobID) -> JSONValue {
        [
            "id": .integer(job), "seq": .integer(Int64(firstToken)), "offset": .integer(Int64(firstByte)),
            "next_offset": .integer(Int64(nextByte)), "text": .string(text),
        ]
    }
}

/// A piece with what entitles to store it.
package struct ChunkReport: Sendable, Equatable {
    package var id: JobID
    package var runToken: RunToken
    /// What the tokens are of.
    package var modelDigest: String
    package var chunk: StreamChunk

    package init(id: JobID, runToken: RunToken, modelDigest: String, chunk: StreamChunk) {
        self.id = id
        self.runToken = runToken
        self.modelDigest = modelDigest
        self.chunk = chunk
    }
}

/// What a reader gets.
package struct StreamPart: Sendable, Equatable {
    package var text: String
    /// Where to go on reading.
    package var nextOffset: Int
    /// There will be no more.
    package var hasEnded: Bool

    package init(text: String, nextOffset: Int, hasEnded: Bool) {
        self.text = text
        self.nextOffset = nextOffset
        self.hasEnded = hasEnded
    }
}
