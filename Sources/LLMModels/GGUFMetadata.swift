// The key-value part of a GGUF file: what a model says of itself.

/// The type of a metadata value; the raw value is the number in the file.
package enum GGUFType: UInt32, Sendable {
    case uint8 = 0
    case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value of fixed size; nil for strings and arrays.
    var size: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }
}

/// One metadata value.
package enum GGUFValue: Sendable, Equatable {
    case uint8(UInt8)
    case int8(Int8)
    case uint16(UInt16)
    case int16(Int16)
    case uint32(UInt32)
    case int32(Int32)
    case float32(Float)
    case bool(Bool)
    case string(String)
    case array(GGUFArray)
    case uint64(UInt64)
    case int64(Int64)
    case float64(Double)

    package var type: GGUFType {
        switch self {
        case .uint8: .uint8
        case .int8: .int8
        case .uint16: .uint16
        case .int16: .int16
        case .uint32: .uint32
        case .int32: .int32
        case .float32: .float32
        case .bool: .bool
        case .string: .string
        case .array: .array
        case .uint64: .uint64
        case .int64: .int64
        case .float64: .float64
        }
    }

    /// An integer of any width; nil for another type, and for one above `Int.max`.
    package var intValue: Int? {
        switch self {
        case .uint8(let value): Int(value)
        case .int8(let value): Int(value)
        case .uint16(let value): Int(value)
        case .int16(let value): Int(value)
        case .uint32(let value): Int(value)
        case .int32(let value): Int(value)
        case .uint64(let value): Int(exactly: value)
        case .int64(let value): Int(value)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    /// A float or an integer.
    package var doubleValue: Double? {
        switch self {
        case .float32(let value): Double(value)
        case .float64(let value): value
        default: intValue.map(Double.init)
        }
    }

    package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    package var arrayValue: GGUFArray? { if case .array(let value) = self { value } else { nil } }
}

/// An array of values of one type, kept in the encoding of the file: a vocabulary has a quarter of a million strings,
/// which most readers of a file never look at.
package struct GGUFArray: Sendable, Equatable {
    /// Never `.array`: nested arrays are refused.
    package let elementType: GGUFType
    package let count: Int
    /// The elements as they stand in the file; checked when the array was read.
    let bytes: [UInt8]

    init(elementType: GGUFType, count: Int, bytes: [UInt8]) {
        self.elementType = elementType
        self.count = count
        self.bytes = bytes
    }

    package init(_ strings: [[UInt8]]) {
        var bytes: [UInt8] = []
        for string in strings {
            bytes.append(littleEndian: UInt64(string.count))
            bytes += string
        }
        self.init(elementType: .string, count: strings.count, bytes: bytes)
    }

    package init(_ integers: [Int32]) {
        var bytes: [UInt8] = []
        for integer in integers { bytes.append(littleEndian: integer) }
        self.init(elementType: .int32, count: integers.count, bytes: bytes)
    }

    package init(_ floats: [Float]) {
        var bytes: [UInt8] = []
        for float in floats { bytes.append(littleEndian: float.bitPattern) }
        self.init(elementType: .float32, count: floats.count, bytes: bytes)
    }

    package init(_ flags: [Bool]) {
        self.init(elementType: .bool, count: flags.count, bytes: flags.map { $0 ? 1 : 0 })
    }

    /// The strings, which need not be valid UTF-8; nil for another element type.
    package var byteStrings: [[UInt8]]? {
        guard elementType == .string else { return nil }
        var strings: [[UInt8]] = []
        strings.reserveCapacity(count)
        bytes.withUnsafeBytes { source in
            var position = 0
            for _ in 0..<count {
                let length = Int(UInt64(littleEndian: source.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
                strings.append([UInt8](source[position + 8..<position + 8 + length]))
                position += 8 + length
            }
        }
        return strings
    }

    /// Where these strings stand in an array of strings, in the order of the array. Makes no strings of the others.
    func indices(of wanted: Set<[UInt8]>) -> [Int] {
        guard elementType == .string, let longest = wanted.map(\.count).max() else { return [] }
        var found: [Int] = []
        bytes.withUnsafeBytes { source in
            var position = 0
            for index in 0..<count {
                let length = Int(UInt64(littleEndian: source.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
                position += 8
                if length <= longest, wanted.contains([UInt8](source[position..<position + length])) {
                    found.append(index)
                }
                position += length
            }
        }
        return found
    }

    /// Integers of any width; nil for another element type, and for one above `Int.max`.
    package var integers: [Int]? {
        switch elementType {
        case .uint8: fixed(UInt8.self)
        case .int8: fixed(Int8.self)
        case .uint16: fixed(UInt16.self)
        case .int16: fixed(Int16.self)
        case .uint32: fixed(UInt32.self)
        case .int32: fixed(Int32.self)
        case .uint64: fixed(UInt64.self)
        case .int64: fixed(Int64.self)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    /// 32-bit floats; nil for another element type.
    package var floats: [Float]? {
        guard elementType == .float32 else { return nil }
        return bytes.withUnsafeBytes { source in
            (0..<count).map { index in
                Float(
                    bitPattern: UInt32(littleEndian: source.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
            }
        }
    }

    package var bools: [Bool]? { elementType == .bool ? bytes.map { $0 != 0 } : nil }

    private func fixed<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> [Int]? {
        bytes.withUnsafeBytes { source in
            var result: [Int] = []
            result.reserveCapacity(count)
            for index in 0..<count {
                let value = source.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.size, as: type)
                guard let integer = Int(exactly: T(littleEndian: value)) else { return nil }
                result.append(integer)
            }
            return result
        }
    }
}

/// The metadata of a file, in the order of the file.
package struct GGUFMetadata: Sendable, Equatable {
    package private(set) var keys: [String] = []
    private var values: [String: GGUFValue] = [:]

    package init() {}

    /// The value of a key; nil when the file has no such key.
    package subscript(key: String) -> GGUFValue? { values[key] }

    /// Sets the value of a key; a new key goes to the end.
    package mutating func set(_ key: String, _ value: GGUFValue) {
        if values.updateValue(value, forKey: key) == nil { keys.append(key) }
    }
}

extension [UInt8] {
    mutating func append(littleEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
