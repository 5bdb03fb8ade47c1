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

    @Test func boundsDepth() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONError.self) { try JSONValue(parsing: deep) }
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
