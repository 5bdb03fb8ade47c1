import Foundation
import JSON
import Testing

@Suite struct JSONTests {
    @Test func keepsTheOrderOfMembers() throws {
        let text = #"{"z":1,"a":[true,null,-2.5],"ä\n":"\u00e9\ud83d\ude00"}"#
        let value = try JSONValue(parsing: text)
        #expect(value.objectValue?.keys.elements == ["z", "a", "ä\n"])
        #expect(value["ä\n"] == "é😀")
        #expect(value.text() == #"{"z":1,"a":[true,null,-2.5],"ä\n":"é😀"}"#)
        #expect(value.text(.python).hasPrefix(#"{"z": 1, "a": [true, null, -2.5], "#))
    }

    @Test(arguments: [
        ("", 1, 1, "ends"), ("[1,\n 2", 2, 3, "','"), ("{\"a\" 1}", 1, 6, "':'"), ("[01]", 1, 3, "','"),
        ("\"\\ud800\"", 1, 8, "surrogate"), ("\"a", 1, 1, "not closed"), ("1e999", 1, 1, "range"),
        ("nul", 1, 1, "value"), ("[] x", 1, 4, "after"), ("\"\u{1}\"", 1, 2, "control"), ("-", 1, 2, "digit"),
    ])
    func saysWhereItIsWrong(text: String, line: Int, column: Int, reason: String) throws {
        let error = try #require(throws: JSONError.self) { try JSONValue(parsing: text) }
        #expect(error.line == line && error.column == column && error.reason.contains(reason), "\(error)")
    }

    @Test(arguments: ["[", "{\"a\":"])
    func boundsDepth(opening: String) {
        let deep = String(repeating: opening, count: 100_000)
        for depth in [0, 1, 128, 1_000_000] {
            #expect(throws: JSONError.self) { try JSONValue(parsing: deep, maximumDepth: depth) }
            #expect(throws: JSONError.self) {
                try JSONValue.forEachMember(ofObjectAt: Array(repeating: "a", count: 100_000), in: deep.utf8) { _, _ in
                }
            }
        }
    }

    /// The deepest value can be parsed, compared, hashed, written and freed on the smallest stack of a thread.
    @Test func handlesTheDeepestValueOnASmallStack() {
        let depth = JSONValue.deepest
        let text = String(repeating: "{\"a\":[", count: depth / 2) + "1" + String(repeating: "]}", count: depth / 2)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let values = (0..<2).compactMap { _ in try? JSONValue(parsing: text, maximumDepth: .max) }
            #expect(values.count == 2 && values[0] == values[1] && Set(values).count == 1)
            #expect(values.first?.text() == text)
            done.signal()
        }
        thread.stackSize = 512 << 10
        thread.start()
        done.wait()
    }

    @Test(arguments: [
        (1.0, "1.0"), (1e16, "1e+16"), (123_456_789_012_345_680, "1.2345678901234568e+17"), (1e-5, "1e-05"),
        (-0.0, "-0.0"), (0.1, "0.1"), (.infinity, "null"), (.nan, "null"),
    ])
    func printsNumbersAsPythonDoes(number: Double, text: String) { #expect(JSONValue.number(number).text() == text) }

    @Test func writesInAllStyles() {
        let value: JSONValue = ["a": [1, []], "b": [:], "c": "\u{7F}é\u{1F600}\u{01}\"\\/"]
        #expect(value.text() == #"{"a":[1,[]],"b":{},"c":"\#u{7F}é😀\u0001\"\\/"}"#)
        #expect(value.text(.python) == #"{"a": [1, []], "b": {}, "c": "\#u{7F}é😀\u0001\"\\/"}"#)
        #expect(value["a"]?.text(.pretty) == "[\n  1,\n  []\n]")
        #expect(value["a"]?.text(JSONStyle(itemSeparator: ",", keySeparator: ":", indentation: -1)) == "[\n1,\n[]\n]")
        var ascii = ""
        JSONValue.writeQuoted("\u{7F}é\u{1F600}\n", to: &ascii, asciiOnly: true)
        #expect(ascii == #""\u007f\u00e9\ud83d\ude00\n""#)
    }

    /// Texts that differ only in normal form: one member of an object, but two of `forEachMember`.
    @Test func visitsMembersOneByOne() throws {
        let text = #"{"model":{"type":"BPE","vocab":{"é":1,"e\u0301":2,"":3}},"vocab":[{}]}"#
        #expect(try JSONValue(parsing: text)["model"]?["vocab"]?.objectValue?.count == 2)
        var found: [(String, JSONValue)] = []
        let isThere = try JSONValue.forEachMember(ofObjectAt: ["model", "vocab"], in: text.utf8) {
            found.append(($0, $1))
        }
        #expect(isThere && found.map(\.1) == [1, 2, 3])
        #expect(found.map { Array($0.0.utf8) } == [Array("é".utf8), Array("e\u{301}".utf8), []])
        for path in [["vocab"], ["model", "merges"], ["model", "type", "x"], ["x"]] {
            #expect(try !JSONValue.forEachMember(ofObjectAt: path, in: text.utf8) { _, _ in Issue.record("a member") })
        }
        #expect(throws: JSONError.self) { try JSONValue.forEachMember(ofObjectAt: [], in: "{} x".utf8) { _, _ in } }
    }

    /// Random edits of a valid text: parsing either fails with an error or gives a value that survives a round trip.
    @Test func survivesMutation() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var state = seed
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let base = Array(#"{"messages":[{"role":"user","content":"h\u00e9 \"x\""}],"n":-1.5e-3,"ok":true,"z":[]}"#.utf8)
        for _ in 0..<20_000 {
            var bytes = base
            for _ in 0...next(3) {
                switch next(3) {
                case 0: bytes[next(bytes.count)] = UInt8(next(256))
                case 1: bytes.remove(at: next(bytes.count))
                default: bytes.insert(UInt8(next(256)), at: next(bytes.count))
                }
            }
            guard let value = try? JSONValue(parsing: bytes) else { continue }
            #expect(try JSONValue(parsing: value.text()) == value, "seed \(seed)")
        }
    }
}
