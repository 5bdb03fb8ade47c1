// Finds pieces by their bytes, and by the bytes of two pieces put together: SentencePiece merging asks the latter for
// every pair of neighbours, so the hash of a pair is made from the hashes of its parts.

struct PieceIndex: Sendable {
    let pieces: ByteStrings
    /// Polynomial hash of each piece.
    private let hashes: [UInt64]
    /// Open addressing: id + 1, 0 for a free slot. At most half full.
    private var slots: [Int32]
    /// `base` to the power of each length.
    private let powers: [UInt64]

    /// Pieces that occur twice are found where they stand first. Empty pieces are not found.
    init(_ pieces: ByteStrings) {
        self.pieces = pieces
        let longest = (0..<pieces.count).reduce(0) { max($0, pieces.length($1)) }
        var powers: [UInt64] = [1]
        powers.reserveCapacity(longest + 1)
        for _ in 0..<longest { powers.append(Self.multiply(powers.last!, Self.base)) }
        self.powers = powers
        hashes = pieces.bytes.withUnsafeBufferPointer { bytes in
            (0..<pieces.count).map { Self.hash(UnsafeBufferPointer(rebasing: bytes[pieces.range($0)])) }
        }
        var size = 16
        while size < pieces.count * 2 { size *= 2 }
        slots = Array(repeating: 0, count: size)
        for id in 0..<pieces.count where pieces.length(id) > 0 {
            var slot = Self.slot(hashes[id]) & (size - 1)
            var isNew = true
            while slots[slot] != 0 {
                let other = Int(slots[slot] - 1)
                if hashes[other] == hashes[id], pieces[other] == pieces[id] {
                    isNew = false
                    break
                }
                slot = (slot + 1) & (size - 1)
            }
            if isNew { slots[slot] = Int32(id) + 1 }
        }
    }

    func find(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32? {
        guard bytes.count < powers.count else { return nil }
        return find(Self.hash(bytes)) { id in
            let range = pieces.range(id)
            return range.count == bytes.count
                && pieces.bytes.withUnsafeBufferPointer { equal($0, range.lowerBound, bytes) }
        }
    }

    func find(_ bytes: some Collection<UInt8>) -> Int32? {
        let found = bytes.withContiguousStorageIfAvailable { find($0) }
        return found ?? Array(bytes).withUnsafeBufferPointer { find($0) }
    }

    /// The piece whose text is that of `left` followed by that of `right`.
    func find(_ left: Int32, _ right: Int32) -> Int32? {
        let (first, second) = (pieces.range(Int(left)), pieces.range(Int(right)))
        guard first.count + second.count < powers.count else { return nil }
        let hash = Self.add(Self.multiply(hashes[Int(left)], powers[second.count]), hashes[Int(right)])
        return find(hash) { id in
            let range = pieces.range(id)
            guard range.count == first.count + second.count else { return false }
            return pieces.bytes.withUnsafeBufferPointer { bytes in
                equal(bytes, range.lowerBound, UnsafeBufferPointer(rebasing: bytes[first]))
                    && equal(bytes, range.lowerBound + first.count, UnsafeBufferPointer(rebasing: bytes[second]))
            }
        }
    }

    @inline(__always)
    private func find(_ hash: UInt64, _ isEqual: (Int) -> Bool) -> Int32? {
        let mask = slots.count - 1
        var slot = Self.slot(hash) & mask
        while slots[slot] != 0 {
            let id = Int(slots[slot] - 1)
            if hashes[id] == hash, isEqual(id) { return Int32(id) }
            slot = (slot + 1) & mask
        }
        return nil
    }

    @inline(__always)
    private func equal(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
        for index in 0..<other.count where bytes[start + index] != other[index] { return false }
        return true
    }

    // MARK: Hash: a polynomial modulo the prime 2^61 − 1, whose base nobody who writes a file can know

    private static let prime: UInt64 = (1 << 61) - 1
    private static let base = UInt64.random(in: 1 << 32..<prime)

    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash: UInt64 = 0
        let base = base
        for byte in bytes { hash = add(multiply(hash, base), UInt64(byte) + 1) }
        return hash
    }

    @inline(__always)
    private static func slot(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: (hash &* 0x9E37_79B9_7F4A_7C15) >> 24) }

    @inline(__always)
    private static func add(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let sum = a &+ b
        return sum >= prime ? sum &- prime : sum
    }

    @inline(__always)
    private static func multiply(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return add(product.low & prime, product.high << 3 | product.low >> 61)
    }
}
