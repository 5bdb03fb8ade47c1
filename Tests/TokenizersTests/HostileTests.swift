// Broken vocabularies: an error that names the field, never a crash.
import JSON
import LLMTokenizers
import Testing
import TokenizerGoldens

@Suite struct HostileTests {
    private func error(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    /// A byte-level vocabulary of two pieces and one merge, with one thing changed.
    private func json(_ changes: [String: String] = [:], model: [String: String] = [:]) -> [UInt8] {
        func object(_ members: [String: String]) -> String {
            "{" + members.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ") + "}"
        }
        let model = ["type": "\"BPE\"", "vocab": #"{"a": 0, "b": 1, "ab": 2}"#, "merges": #"["a b"]"#]
            .merging(model) { $1 }
        let byteLevel = #"{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}"#
        let file = ["model": object(model), "pre_tokenizer": byteLevel, "decoder": byteLevel, "added_tokens": "[]"]
        return Array(object(file.merging(changes) { $1 }).utf8)
    }

    private func load(_ text: [UInt8]) throws -> Tokenizer {
        try Tokenizer(tokenizerJSON: text, configurationJSON: nil)
    }

    @Test func smallestVocabulary() throws {
        let tokenizer = try load(json())
        #expect(tokenizer.encode("abba ab", addSpecialTokens: true) == [2, 1, 0, 2])
        #expect(tokenizer.decode([2, 1], skipSpecialTokens: true) == "abb")
    }

    @Test func fieldsAreNamed() throws {
        let cases: [(String, [UInt8])] = [
            ("model: the model is missing", Array("{}".utf8)),
            ("tokenizer.json: byte 0: '{' is expected", Array("[]".utf8)),
            ("tokenizer.json: byte 2: unexpected text", Array("{}x".utf8)),
            ("model.type: \"WordPiece\"", json(model: ["type": "\"WordPiece\""])),
            ("model.vocab[\"b\"]: id 0 belongs", json(model: ["vocab": #"{"a": 0, "b": 0}"#])),
            ("model.vocab[\"b\"]: id 99999999 is too large", json(model: ["vocab": #"{"a": 0, "b": 99999999}"#])),
            ("model.vocab: byte", json(model: ["vocab": #"{"a": -1}"#])),
            ("model.vocab: the vocabulary is empty", json(model: ["vocab": "{}"])),
            ("model.merges[0]: \"c\" is not", json(model: ["merges": #"["a c"]"#])),
            ("model.merges[1]: what \"b\" and \"a\" make", json(model: ["merges": #"["a b", ["b", "a"]]"#])),
            ("model.merges[0]: two pieces", json(model: ["merges": #"["a b c"]"#])),
            ("model.merges[0]: two pieces", json(model: ["merges": #"["ab"]"#])),
            ("model.merges: byte", json(model: ["merges": #"[["a"]]"#])),
            ("model.dropout: 0.1", json(model: ["dropout": "0.1"])),
            ("model.end_of_word_suffix: \"</w>\"", json(model: ["end_of_word_suffix": "\"</w>\""])),
            ("model.unk_token: \"u\" is not", json(model: ["unk_token": "\"u\""])),
            ("normalizer: {\"type\":\"NFKC\"}", json(["normalizer": #"{"type": "NFKC"}"#])),
            ("pre_tokenizer: {\"type\":\"Whitespace\"}", json(["pre_tokenizer": #"{"type": "Whitespace"}"#])),
            (
                "pre_tokenizer: {\"type\":\"Split\"",
                json([
                    "pre_tokenizer": #"""
                    {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\p{L}"}, "behavior":
                    "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]}
                    """#
                ])
            ),
            ("decoder: null", json(["decoder": "null"])),
            ("decoder: {\"type\":\"WordPiece\"}", json(["decoder": #"{"type": "WordPiece"}"#])),
            ("added_tokens[0]: id 1 belongs to \"b\"", json(["added_tokens": #"[{"id": 1, "content": "x"}]"#])),
            ("added_tokens[0]: \"id\" is no token", json(["added_tokens": #"[{"id": -1, "content": "x"}]"#])),
            (
                "post_processor.special_tokens: token 77",
                json([
                    "post_processor": #"""
                    {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"x": {"ids": [77]}}}
                    """#
                ])
            ),
        ]
        for (expected, text) in cases {
            let message = error { _ = try load(text) }
            #expect(message.hasPrefix(expected), "\(message) instead of \(expected)")
        }
        let configuration = Array(#"{"bos_token": "<s>"}"#.utf8)
        let message = error { _ = try Tokenizer(tokenizerJSON: json(), configurationJSON: configuration) }
        #expect(message.hasPrefix("tokenizer_config.json: bos_token"))
    }

    @Test func piecesThatAreCanonicallyEquivalentStayApart() throws {
        let vocabulary = #"{"\u00c5": 0, "\u212b": 1, "A\u030a": 2, "A": 3, "\u030a": 4}"#
        let text = json(
            ["pre_tokenizer": "null", "decoder": #"{"type": "Fuse"}"#],
            model: ["vocab": vocabulary, "merges": #"["A \u030a"]"#])
        let tokenizer = try load(text)
        #expect(tokenizer.encode("\u{C5}\u{212B}A\u{30A}", addSpecialTokens: false) == [0, 1, 2])
        #expect(tokenizer.token("\u{212B}") == 1 && tokenizer.token("A\u{30A}") == 2)
    }

    @Test func descriptions() throws {
        func description(_ change: (inout VocabularyDescription) -> Void) -> String {
            var value = VocabularyDescription(
                model: "gpt2", pre: "gpt-2", tokens: ["a", "b", "ab"].map { Array($0.utf8) })
            value.merges = [Array("a b".utf8)]
            change(&value)
            return error { _ = try Tokenizer(value) }
        }
        #expect(description { _ in } == "no error")
        let cases: [(String, (inout VocabularyDescription) -> Void)] = [
            ("tokenizer.ggml.model: \"bert\"", { $0.model = "bert" }),
            ("tokenizer.ggml.pre: \"tekken\"", { $0.pre = "tekken" }),
            ("tokenizer.ggml.tokens", { $0.tokens = [] }),
            ("tokenizer.ggml.token_type", { $0.types = [1] }),
            ("tokenizer.ggml.merges[0]", { $0.merges = [Array("ab".utf8)] }),
            ("tokenizer.ggml.merges[0]", { $0.merges = [Array("b a".utf8)] }),
            ("tokenizer.ggml.merges[0]", { $0.merges = [[]] }),
            ("tokenizer.ggml.bos_token_id", { $0.beginOfText = 3 }),
            ("tokenizer.ggml.eos_token_id", { $0.endOfText = -1 }),
            ("tokenizer.ggml.scores", { $0.model = "llama" }),
            (
                "tokenizer.ggml.scores[1]",
                {
                    $0.model = "llama"
                    $0.scores = [0, .nan, 0]
                }
            ),
            (
                "tokenizer.ggml.tokens[0]",
                {
                    $0.tokens[0] = Array(repeating: 97, count: 5_000)
                    $0.types = [3, 1, 1]
                    $0.merges = []
                }
            ),
        ]
        for (expected, change) in cases {
            let message = description(change)
            #expect(message.hasPrefix(expected), "\(message) instead of \(expected)")
        }
    }

    @Test func bytesThatAreNoText() throws {
        var value = VocabularyDescription(
            model: "llama", pre: "", tokens: [[0xFF], [0xE2, 0x96], [0xFE, 0x20], Array("a".utf8)])
        value.types = [3, 4, 1, 1]
        value.scores = [0, 0, 0, 0]
        let tokenizer = try Tokenizer(value)
        _ = tokenizer.encode("a \u{2581}é", addSpecialTokens: true)
        #expect(tokenizer.decode([0, 1, 2, 3], skipSpecialTokens: false).hasSuffix("a"))
    }

    /// Bytes of a good file are changed, removed and put in; whatever loads must work.
    @Test(arguments: families) func mutations(_ family: String) throws {
        let original = try TokenizerGoldens.file("\(family)/tokenizer.json")
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        let structure = Array(#"{}[]",:\0123456789truefalsn-"#.utf8)
        var loaded = 0
        for round in 0..<150 {
            var text = original
            // The first round takes the file as it is, so that what follows loading is reached for certain.
            for _ in 0..<(round == 0 ? 0 : Int.random(in: 1...3, using: &random)) {
                // Most of the file is vocabulary: half of the changes go to the stages before it.
                let limit = Bool.random(using: &random) ? text.count : min(text.count, 3_000)
                let place = Int.random(in: 0..<limit, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: text[place] = UInt8.random(in: .min ... .max, using: &random)
                case 1: text[place] = structure.randomElement(using: &random)!
                case 2: text.remove(at: place)
                default: text.removeSubrange(place..<min(text.count, place + Int.random(in: 1..<2_000, using: &random)))
                }
            }
            guard let tokenizer = try? load(text) else { continue }
            loaded += 1
            let sample = "Hello <s> 123 \u{2581} naïve\n\n" + random.text(20)
            let tokens = tokenizer.encode(sample, addSpecialTokens: true)
            #expect(tokens.allSatisfy { (0..<Int32(tokenizer.vocabularySize)).contains($0) }, "seed \(seed)")
            _ = tokenizer.decode(tokens, skipSpecialTokens: false)
        }
        #expect(loaded > 0, "seed \(seed)")
    }
}
