// Partial selection without allocation.

/// Orders (value, index) pairs by one integer comparison: the larger key has the larger value or, for equal values, the
/// lower index.
enum OrderedKey {
    @inline(__always)
    static func make(_ value: Float, _ index: Int) -> UInt64 {
        // Adding zero makes −0 and 0 equal, as they compare.
        let bits = (value + 0).bitPattern
        let ordered = bits ^ (bits >> 31 == 1 ? 0xFFFF_FFFF : 0x8000_0000)
        return UInt64(ordered) << 32 | UInt64(~UInt32(truncatingIfNeeded: index))
    }

    @inline(__always)
    static func index(_ key: UInt64) -> Int { Int(~UInt32(truncatingIfNeeded: key)) }

    @inline(__always)
    static func value(_ key: UInt64) -> Float {
        let ordered = UInt32(key >> 32)
        return Float(bitPattern: ordered ^ (ordered >> 31 == 1 ? 0x8000_0000 : 0xFFFF_FFFF))
    }
}

/// A binary heap in borrowed memory whose root is the largest element. For a smallest root store complements.
struct KeyHeap {
    private let storage: UnsafeMutablePointer<UInt64>
    private(set) var count: Int

    init(_ storage: UnsafeMutablePointer<UInt64>, count: Int = 0) {
        self.storage = storage
        self.count = count
        for index in stride(from: count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    var root: UInt64 { storage[0] }

    mutating func insert(_ key: UInt64) {
        var index = count
        count += 1
        while index > 0, storage[(index - 1) / 2] < key {
            storage[index] = storage[(index - 1) / 2]
            index = (index - 1) / 2
        }
        storage[index] = key
    }

    mutating func replaceRoot(_ key: UInt64) {
        storage[0] = key
        siftDown(0)
    }

    mutating func popRoot() -> UInt64 {
        let key = storage[0]
        count -= 1
        if count > 0 { replaceRoot(storage[count]) }
        return key
    }

    private func siftDown(_ start: Int) {
        let key = storage[start]
        var index = start
        while 2 * index + 1 < count {
            var child = 2 * index + 1
            if child + 1 < count && storage[child + 1] > storage[child] { child += 1 }
            if storage[child] <= key { break }
            storage[index] = storage[child]
            index = child
        }
        storage[index] = key
    }
}
