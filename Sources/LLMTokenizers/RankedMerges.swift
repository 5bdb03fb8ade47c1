// The list of merges of a vocabulary, as a hash table of pairs of ids.

struct RankedMerges: MergeRules {
    private struct Entry {
        var pair: UInt64
        var merge: Merge
    }

    /// Open addressing, at most half full; `free` marks a free entry.
    private var entries: [Entry]
    private let shift: Int
    /// Nobody who writes a file can know where its pairs go.
    private let seed = UInt64.random(in: .min ... .max)

    private static let free = UInt64.max

    init(capacity: Int) {
        var bits = 4
        while 1 << bits < capacity * 2 { bits += 1 }
        shift = 64 - bits
        entries = Array(repeating: Entry(pair: Self.free, merge: .none), count: 1 << bits)
    }

    /// Of a pair that is listed twice the last one counts, as in the reference.
    mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) {
        let pair = Self.pair(left, right)
        let place = find(pair)
        entries[place] = Entry(pair: pair, merge: merge)
    }

    @inline(__always)
    func merge(_ left: Int32, _ right: Int32) -> Merge? {
        let entry = entries[find(Self.pair(left, right))]
        return entry.pair == Self.free ? nil : entry.merge
    }

    /// The pairs in the order of their ranks, with what they make.
    var list: [(left: Int32, right: Int32, merge: Merge)] {
        entries.filter { $0.pair != Self.free }.sorted { $0.merge.rank < $1.merge.rank }.map { entry in
            (
                Int32(truncatingIfNeeded: entry.pair >> 32), Int32(truncatingIfNeeded: entry.pair), entry.merge
            )
        }
    }

    /// Where the pair is, or would be put.
    @inline(__always)
    private func find(_ pair: UInt64) -> Int {
        var place = Int(((pair ^ seed) &* 0x9E37_79B9_7F4A_7C15) >> shift)
        while entries[place].pair != pair, entries[place].pair != Self.free {
            place = (place + 1) & (entries.count - 1)
        }
        return place
    }

    @inline(__always)
    private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }
}
