// Sets of Unicode scalars, and the byte sequences that they are in UTF-8.

/// Sorted ranges that neither touch nor overlap. Never holds surrogates, which are no scalars.
struct ScalarSet: Sendable, Hashable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    static let all = ScalarSet([0...0x10FFFF])
    static let surrogates: ClosedRange<UInt32> = 0xD800...0xDFFF

    init(_ ranges: [ClosedRange<UInt32>]) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            for part in Self.withoutSurrogates(range) {
                if let last = self.ranges.last, part.lowerBound <= last.upperBound &+ 1 {
                    self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, part.upperBound)
                } else {
                    self.ranges.append(part)
                }
            }
        }
    }

    init(_ scalars: some Sequence<Unicode.Scalar>) { self.init(scalars.map { $0.value...$0.value }) }

    private static func withoutSurrogates(_ range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        guard range.overlaps(surrogates) else { return [range] }
        var parts: [ClosedRange<UInt32>] = []
        if range.lowerBound < surrogates.lowerBound { parts.append(range.lowerBound...surrogates.lowerBound - 1) }
        if range.upperBound > surrogates.upperBound { parts.append(surrogates.upperBound + 1...range.upperBound) }
        return parts
    }

    var isEmpty: Bool { ranges.isEmpty }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    var inverted: ScalarSet {
        var gaps: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { gaps.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10FFFF { gaps.append(next...0x10FFFF) }
        return ScalarSet(gaps)
    }

    func intersection(_ other: ScalarSet) -> ScalarSet { inverted.union(other.inverted).inverted }
    func subtracting(_ other: ScalarSet) -> ScalarSet { inverted.union(other).inverted }
    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }

    // MARK: UTF-8

    /// Byte sequences that together spell exactly the set's scalars: one range of bytes at each place.
    var utf8: [[ClosedRange<UInt8>]] {
        var sequences: [[ClosedRange<UInt8>]] = []
        for range in ranges { Self.split(range.lowerBound, range.upperBound, into: &sequences) }
        return sequences
    }

    private static func split(_ low: UInt32, _ high: UInt32, into sequences: inout [[ClosedRange<UInt8>]]) {
        // First by length of the encoding, then so that every place but the first ones runs through all its values.
        for last: UInt32 in [0x7F, 0x7FF, 0xFFFF] where low <= last && high > last {
            split(low, last, into: &sequences)
            split(last + 1, high, into: &sequences)
            return
        }
        if high <= 0x7F { return sequences.append([UInt8(low)...UInt8(high)]) }
        let length = high <= 0x7FF ? 2 : high <= 0xFFFF ? 3 : 4
        for place in 1..<length {
            let mask = UInt32(1) << (6 * UInt32(place)) - 1
            guard low & ~mask != high & ~mask else { continue }
            if low & mask != 0 {
                split(low, low | mask, into: &sequences)
                return split((low | mask) + 1, high, into: &sequences)
            }
            if high & mask != mask {
                split(low, (high & ~mask) - 1, into: &sequences)
                return split(high & ~mask, high, into: &sequences)
            }
        }
        let first = encode(low, length)
        let second = encode(high, length)
        sequences.append(zip(first, second).map { $0...$1 })
    }

    private static func encode(_ scalar: UInt32, _ length: Int) -> [UInt8] {
        var bytes = (0..<length).map {
            UInt8(truncatingIfNeeded: 0x80 | scalar >> (6 * UInt32(length - 1 - $0)) & 0x3F)
        }
        let lead: UInt8 = length == 2 ? 0xC0 : length == 3 ? 0xE0 : 0xF0
        bytes[0] = lead | UInt8(scalar >> (6 * UInt32(length - 1)))
        return bytes
    }
}
