// Lines of a file that may be larger than memory.
import Foundation

/// Reads one line after the other, keeping no more than one of them.
package struct LineReader: ~Copyable {
    package struct Line {
        /// From 1.
        package let number: Int
        package let bytes: [UInt8]
    }

    /// A line that is longer than `longest`.
    package struct TooLong: Error, Sendable, CustomStringConvertible {
        package let number: Int
        package let longest: Int
        package var description: String { "line \(number): has more than \(longest) bytes" }
    }

    private let read: (Int) throws -> Data?
    private let longest: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var number = 0
    private var isAtEnd = false

    /// - Parameters:
    ///   - longest: bytes of a line, at most.
    ///   - read: up to so many bytes; nil or none at the end.
    package init(longest: Int = 16 << 20, read: @escaping (Int) throws -> Data?) {
        self.longest = longest
        self.read = read
    }

    /// Without its end (LF or CRLF) and without a byte order mark; lines of white space alone are passed over.
    package mutating func next() throws -> Line? {
        while let bytes = try nextBytes() {
            var line = bytes
            if number == 1, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            return Line(number: number, bytes: line)
        }
        return nil
    }

    private mutating func nextBytes() throws -> [UInt8]? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                number += 1
                defer { start = end + 1 }
                return Array(buffer[start..<end])
            }
            searched = buffer.count
            if isAtEnd {
                guard start < buffer.count else { return nil }
                number += 1
                defer { start = buffer.count }
                return Array(buffer[start...])
            }
            guard buffer.count - start <= longest else { throw TooLong(number: number + 1, longest: longest) }
            buffer.removeFirst(start)
            searched -= start
            start = 0
            guard let more = try read(1 << 20), !more.isEmpty else {
                isAtEnd = true
                continue
            }
            buffer += more
        }
    }
}
