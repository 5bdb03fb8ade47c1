// Many short byte strings in one buffer: a vocabulary of 262,144 pieces is two allocations, not 262,144.

struct ByteStrings: Sendable {
    private(set) var bytes: [UInt8] = []
    private var spans: [Range<UInt32>] = []

    /// All pieces together; offsets are 32 bits wide.
    static let maximumByteCount = 1 << 30

    var count: Int { spans.count }

    init() {}

    init(_ strings: [[UInt8]]) {
        bytes.reserveCapacity(strings.reduce(0) { $0 + $1.count })
        spans.reserveCapacity(strings.count)
        for string in strings { append(string) }
    }

    mutating func append(_ string: some Collection<UInt8>) {
        let start = UInt32(bytes.count)
        bytes.append(contentsOf: string)
        spans.append(start..<UInt32(bytes.count))
    }

    /// The string at `index`; the strings between the last one and it become empty.
    mutating func set(_ string: some Collection<UInt8>, at index: Int) {
        if index >= spans.count { spans.append(contentsOf: repeatElement(0..<0, count: index + 1 - spans.count)) }
        let start = UInt32(bytes.count)
        bytes.append(contentsOf: string)
        spans[index] = start..<UInt32(bytes.count)
    }

    func range(_ index: Int) -> Range<Int> { Int(spans[index].lowerBound)..<Int(spans[index].upperBound) }

    func length(_ index: Int) -> Int { spans[index].count }

    subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }
}
