import Testing

@testable import LLMInference

@Suite struct StopMatcherTests {
    /// Text before the match and the match, for `text` fed in pieces of the given byte lengths (whole characters).
    private func run(_ stops: [String], _ pieces: [String]) -> (text: String, match: String?, certain: [String]) {
        var matcher = StopMatcher(stops)
        var deltas = pieces.map { matcher.append($0) }
        deltas.append(matcher.finish())
        return (deltas.joined(), matcher.match, deltas)
    }

    @Test func holdsBackOnlyWhatMayBecomeAStop() {
        let result = run(["END", "</s>"], ["a E", "N", "x</", "s", "> tail"])
        #expect(result.certain == ["a ", "", "ENx", "", "", ""])
        #expect(result.match == "</s>" && result.text == "a ENx")
        let open = run(["END"], ["abE", "N"])
        #expect(open.certain == ["ab", "", "EN"] && open.match == nil)
    }

    @Test func theFirstCompleteMatchWinsAndAmongThemTheLongest() {
        #expect(run(["bcd", "c"], ["abcd"]).match == "c")
        #expect(run(["bcd", "c"], ["abcd"]).text == "ab")
        #expect(run(["d", "bcd", "cd"], ["abcd"]).match == "bcd")
        #expect(run(["d", "bcd", "cd"], ["abcd"]).text == "a")
        #expect(run(["aab"], ["aaaab"]).text == "aa")
        #expect(run(["€uro"], ["1 €", "ur", "o!"]).text == "1 ")
        #expect(run([], ["x", "y"]).text == "xy")
        // Byte by byte, not by canonical equivalence: "e" + combining acute is not "é".
        #expect(run(["\u{E9}"], ["cafe\u{301}"]).match == nil)
    }

    /// Any cut of the text into pieces gives what a search over the whole text gives.
    @Test func doesNotDependOnTheCut() {
        var random = TestRandom()
        for _ in 0..<3_000 {
            let letters = ["a", "b", "é", "€"]
            func word(_ lengths: ClosedRange<Int>) -> String {
                (0..<random.int(lengths)).map { _ in random.pick(letters) }.joined()
            }
            let text = word(0...30)
            let stops = (0..<random.int(1...3)).map { _ in word(1...4) }
            var pieces: [String] = []
            var rest = text[...]
            while !rest.isEmpty {
                let piece = rest.prefix(random.int(1...5))
                pieces.append(String(piece))
                rest = rest.dropFirst(piece.count)
            }
            let expected = search(stops, text)
            let result = run(stops, pieces)
            #expect(result.text == expected.text && result.match == expected.match, "seed \(random.seed)")
        }
    }

    private func search(_ stops: [String], _ text: String) -> (text: String, match: String?) {
        let bytes = Array(text.utf8)
        for end in 0...bytes.count {
            let complete = stops.filter { bytes[..<end].reversed().starts(with: $0.utf8.reversed()) }
            if let longest = complete.max(by: { $0.utf8.count < $1.utf8.count }) {
                return (String(decoding: bytes[..<(end - longest.utf8.count)], as: UTF8.self), longest)
            }
        }
        return (text, nil)
    }
}
