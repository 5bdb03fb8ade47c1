// Pieces, merges and options of the `model` of a tokenizer.json.
import JSON

struct HuggingFaceVocabulary {
    var pieces = ByteStrings()
    /// Everything of `model` but the pieces and the merges.
    private(set) var options: [String: JSONValue] = [:]
    private let text: [UInt8]
    private let merges: Range<Int>?

    init(_ text: [UInt8], _ range: Range<Int>) throws(TokenizerError) {
        self.text = text
        var cursor = JSONCursor(text, range, field: "model")
        var members = try cursor.members()
        merges = members.removeValue(forKey: "merges")
        let vocabulary = members.removeValue(forKey: "vocab")
        for (name, range) in members { options[name] = try JSONValue.part(text, range, field: "model.\(name)") }
        // Old files don't name the type.
        let type = options["type"] ?? "BPE"
        guard type == "BPE" else { throw .unsupported(field: "model.type", value: type.text()) }
        guard let vocabulary else { throw .invalid(field: "model.vocab", reason: "the vocabulary is missing") }
        try readPieces(vocabulary)
        try checkOptions()
    }

    private mutating func readPieces(_ range: Range<Int>) throws(TokenizerError) {
        var cursor = JSONCursor(text, range, field: "model.vocab")
        var piece: [UInt8] = []
        var isTaken: [Bool] = []
        try cursor.open("{")
        while try cursor.more("}") {
            piece.removeAll(keepingCapacity: true)
            try cursor.string(into: &piece)
            try cursor.expect(":")
            let id = try cursor.integer()
            func fail(_ reason: String) -> TokenizerError {
                .invalid(field: "model.vocab[\"\(String(decoding: piece.prefix(64), as: UTF8.self))\"]", reason: reason)
            }
            guard id < Tokenizer.maximumVocabularySize else { throw fail("id \(id) is too large") }
            if id >= isTaken.count { isTaken += repeatElement(false, count: id + 1 - isTaken.count) }
            guard !isTaken[id] else { throw fail("id \(id) belongs to another piece") }
            guard pieces.bytes.count + piece.count <= ByteStrings.maximumByteCount else { throw fail("too much text") }
            isTaken[id] = true
            pieces.set(piece, at: id)
        }
        guard pieces.count > 0 else { throw .invalid(field: "model.vocab", reason: "the vocabulary is empty") }
    }

    private func checkOptions() throws(TokenizerError) {
        for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
            guard let value = options[name], value != .null, value != "" else { continue }
            throw .unsupported(field: "model.\(name)", value: value.text())
        }
        if let dropout = options["dropout"], dropout != .null, dropout.doubleValue != 0 {
            throw .unsupported(field: "model.dropout", value: dropout.text())
        }
    }

    func flag(_ name: String) -> Bool { options[name]?.boolValue ?? false }

    func unknown(_ index: PieceIndex) throws(TokenizerError) -> UnknownToken {
        guard let name = options["unk_token"], name != .null else { return UnknownToken() }
        guard let text = name.stringValue, let token = index.find(Array(text.utf8)) else {
            throw .invalid(field: "model.unk_token", reason: "\(name.text()) is not in the vocabulary")
        }
        return UnknownToken(token: token, isFused: flag("fuse_unk"))
    }

    /// Merges are `"a b"` in old files, `["a", "b"]` in new ones.
    func rankedMerges(_ index: PieceIndex) throws(TokenizerError) -> RankedMerges {
        guard let merges else { throw .invalid(field: "model.merges", reason: "the list of merges is missing") }
        // A merge takes seven characters at least.
        var table = RankedMerges(capacity: min(merges.count / 7, Tokenizer.maximumMergeCount))
        var cursor = JSONCursor(text, merges, field: "model.merges")
        var rank = 0
        var pair: [UInt8] = []
        try cursor.open("[")
        while try cursor.more("]") {
            func fail(_ reason: String) -> TokenizerError { .invalid(field: "model.merges[\(rank)]", reason: reason) }
            guard rank < Tokenizer.maximumMergeCount else { throw fail("too many merges") }
            pair.removeAll(keepingCapacity: true)
            let split: Int
            let right: Int
            if cursor.isAtString() {
                try cursor.string(into: &pair)
                if rank == 0, pair.starts(with: "#version".utf8) { continue }
                guard let space = pair.firstIndex(of: UInt8(ascii: " ")),
                    pair.lastIndex(of: UInt8(ascii: " ")) == space
                else { throw fail("two pieces with one space between them are expected") }
                (split, right) = (space, space + 1)
            } else {
                try cursor.expect("[")
                try cursor.string(into: &pair)
                split = pair.count
                right = split
                try cursor.expect(",")
                try cursor.string(into: &pair)
                try cursor.expect("]")
            }
            try table.insert(pair[..<split], pair[right...], rank, index, field: { "model.merges[\($0)]" })
            rank += 1
        }
        return table
    }
}

extension JSONValue {
    /// The value in a stretch of a larger text.
    static func part(_ text: [UInt8], _ range: Range<Int>, field: String) throws(TokenizerError) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(parsing: text[range])
        } catch {
            throw .invalid(field: field, reason: error.reason)
        }
    }

    /// A step of a pipeline that this program doesn't know, shortened for a message.
    var summary: String {
        let text = text()
        return text.count <= 200 ? text : text.prefix(200) + "…"
    }
}
