// Steps through UTF-8 that is known to be valid.

/// A text as bytes; every range handed out begins and ends at a character.
package typealias UTF8Bytes = UnsafeBufferPointer<UInt8>

extension UTF8Bytes {
    /// The scalar that begins at `place`, and its length.
    @inline(__always)
    func scalar(at place: Int) -> (value: UInt32, length: Int) {
        let first = UInt32(self[place])
        if first < 0x80 { return (first, 1) }
        func next(_ offset: Int) -> UInt32 { UInt32(self[place + offset]) & 0x3F }
        if first < 0xE0 { return ((first & 0x1F) << 6 | next(1), 2) }
        if first < 0xF0 { return ((first & 0x0F) << 12 | next(1) << 6 | next(2), 3) }
        return ((first & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4)
    }

    /// Where the character before `place` begins.
    func start(before place: Int) -> Int {
        var start = place - 1
        while self[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    func starts(with prefix: [UInt8], at place: Int = 0) -> Bool {
        guard count - place >= prefix.count else { return false }
        for index in prefix.indices where self[place + index] != prefix[index] { return false }
        return true
    }
}
