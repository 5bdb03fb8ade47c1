// Finds stop strings in text that arrives in pieces, and holds back what may become one.

/// Runs one Knuth-Morris-Pratt automaton for each stop string over the bytes of the text. The match that is complete
/// first wins, the longest of those complete at the same byte; so the result doesn't depend on how the text is cut.
struct StopMatcher {
    private struct Pattern {
        let text: String
        let bytes: [UInt8]
        /// Length of the longest proper prefix of `bytes` that ends at each index; at most
        /// `SamplingParameters.maximumStopBytes`.
        let borders: [UInt16]
        var matched = 0

        init(_ text: String) {
            self.text = text
            bytes = Array(text.utf8)
            var borders = [UInt16](repeating: 0, count: bytes.count)
            var length = 0
            for index in bytes.indices.dropFirst() {
                while length > 0 && bytes[index] != bytes[length] { length = Int(borders[length - 1]) }
                if bytes[index] == bytes[length] { length += 1 }
                borders[index] = UInt16(length)
            }
            self.borders = borders
        }

        /// True when the pattern ends with `byte`.
        mutating func advance(_ byte: UInt8) -> Bool {
            while matched > 0 && bytes[matched] != byte { matched = Int(borders[matched - 1]) }
            if bytes[matched] == byte { matched += 1 }
            return matched == bytes.count
        }
    }

    private var patterns: [Pattern]
    /// Text that is the beginning of a stop string, if more of it follows. Whole characters, as it came.
    private var held: [UInt8] = []
    /// The stop string that was found. Nothing is taken after that.
    private(set) var match: String?

    init(_ stops: [String]) {
        patterns = stops.map { Pattern($0) }
        held.reserveCapacity(stops.isEmpty ? 0 : 64 + (stops.map(\.utf8.count).max() ?? 0))
    }

    /// Takes the next text and returns what is certain to be before any stop string.
    mutating func append(_ text: String) -> String {
        if patterns.isEmpty { return text }
        if match != nil { return "" }
        for byte in text.utf8 {
            held.append(byte)
            var found = -1
            for index in patterns.indices where patterns[index].advance(byte) {
                if found < 0 || patterns[index].bytes.count > patterns[found].bytes.count { found = index }
            }
            if found >= 0 {
                match = patterns[found].text
                return release(keeping: patterns[found].bytes.count, discarding: true)
            }
        }
        return release(keeping: patterns.reduce(0) { max($0, $1.matched) }, discarding: false)
    }

    /// The text has ended: returns what was held back.
    mutating func finish() -> String {
        match == nil ? release(keeping: 0, discarding: false) : ""
    }

    private mutating func release(keeping kept: Int, discarding: Bool) -> String {
        let end = held.count - kept
        // A stop string begins with a whole character, so the bytes before it end with one.
        let text = end == 0 ? "" : String(decoding: held[..<end], as: UTF8.self)
        if discarding { held.removeAll(keepingCapacity: true) } else { held.removeFirst(end) }
        return text
    }
}
