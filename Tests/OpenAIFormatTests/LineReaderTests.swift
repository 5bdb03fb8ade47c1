// Lines of a file that is read in pieces.
import Foundation
import OpenAIFormat
import TestSupport
import Testing

@Suite struct LineReaderTests {
    private static func lines(_ bytes: [UInt8], piece: Int, longest: Int = 1 << 20) throws -> [(Int, String)] {
        var rest = bytes[...]
        var reader = LineReader(longest: longest) { _ in
            defer { rest = rest.dropFirst(piece) }
            return Data(rest.prefix(piece))
        }
        var lines: [(Int, String)] = []
        while let line = try reader.next() { lines.append((line.number, String(decoding: line.bytes, as: UTF8.self))) }
        return lines
    }

    @Test func countsLinesAsEditorsDo() throws {
        let text = "\u{FEFF}one\r\n\n  \t\r\nfour\nfive"
        for piece in [1, 2, 7, 100] {
            let lines = try Self.lines(Array(text.utf8), piece: piece)
            #expect(lines.map(\.0) == [1, 4, 5] && lines.map(\.1) == ["one", "four", "five"])
        }
        #expect(try Self.lines([], piece: 1).isEmpty)
        #expect(try Self.lines(Array("\n\n".utf8), piece: 1).isEmpty)
    }

    @Test func aLineThatIsTooLongIsNamed() {
        let error = #expect(throws: LineReader.TooLong.self) {
            _ = try Self.lines(Array(("ok\n" + String(repeating: "x", count: 5000)).utf8), piece: 64, longest: 1000)
        }
        #expect(error?.number == 2)
    }

    /// In pieces of any size it gives what splitting gives.
    @Test func agreesWithSplitting() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("lines: seed \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                [UInt8](arrayLiteral: 0x0A, 0x0D, 0x20, 0x61, 0x7B, 0xFF).randomElement(using: &random)!
            }
            let expected = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
                String(decoding: line.last == 0x0D ? line.dropLast() : line, as: UTF8.self)
            }.filter { !$0.allSatisfy { $0 == " " || $0 == "\t" } }
            let found = try Self.lines(bytes, piece: Int.random(in: 1...50, using: &random))
            #expect(found.map(\.1) == expected)
        }
    }
}
