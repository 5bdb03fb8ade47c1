// Every family against the `tokenizers` library.
import LLMTokenizers
import Testing
import TokenizerGoldens

let families = ["gpt2", "smollm2", "qwen2", "llama3", "gemma", "mistral", "metaspace", "flags"]
let byteFamilies = ["gpt2", "smollm2", "llama3"]

func tokenizer(_ family: String) throws -> Tokenizer {
    try Tokenizer(
        tokenizerJSON: TokenizerGoldens.file("\(family)/tokenizer.json"),
        configurationJSON: TokenizerGoldens.file("\(family)/tokenizer_config.json"))
}

@Suite struct GoldenTests {
    @Test(arguments: families) func family(_ name: String) throws {
        let goldens = try TokenizerGoldens("\(name)/expected")
        #expect(goldens.texts.count > 2_000 && goldens.random.count > 100)
        let differences = goldens.differences(try tokenizer(name))
        #expect(differences.isEmpty, "\(differences.count) differences, first: \(differences.prefix(5))")
    }

    @Test(arguments: families) func streamingEqualsDecode(_ name: String) throws {
        let tokenizer = try tokenizer(name)
        let goldens = try TokenizerGoldens("\(name)/expected")
        for tokens in goldens.encoded + goldens.random.map(\.tokens) {
            for skips in [true, false] {
                var decoder = StreamingDecoder(tokenizer, skipsSpecialTokens: skips)
                var parts: [String] = []
                for token in tokens { parts.append(decoder.append(token)) }
                parts.append(decoder.finish())
                let whole = tokenizer.decode(tokens, skipSpecialTokens: skips)
                #expect(Array(parts.joined().utf8) == Array(whole.utf8))
            }
        }
    }

    @Test func textBoundaries() throws {
        let expected: [(String, Int32?, Int32?, Bool)] = [
            ("gpt2", 0, 0, false), ("smollm2", 1, 2, false), ("qwen2", nil, 2, false), ("llama3", 0, 1, true),
            ("gemma", 2, 1, true), ("mistral", 0, 1, true), ("metaspace", 0, 1, true), ("flags", nil, 0, false),
        ]
        for (family, begin, end, adds) in expected {
            let tokenizer = try tokenizer(family)
            #expect(tokenizer.beginOfText == begin && tokenizer.endOfText == end, "\(family)")
            #expect(tokenizer.addsBeginOfText == adds, "\(family)")
            #expect(tokenizer.encode("", addSpecialTokens: false).isEmpty)
        }
    }

    @Test func tokensAndBytes() throws {
        let tokenizer = try tokenizer("smollm2")
        #expect(tokenizer.token("<|im_start|>") == 1 && tokenizer.isSpecial(1))
        #expect(tokenizer.bytes(of: 1).isEmpty)
        let the = try #require(tokenizer.token("Ġthe"))
        #expect(tokenizer.bytes(of: the) == Array(" the".utf8) && !tokenizer.isSpecial(the))
        #expect(tokenizer.token("<|im_st") == nil)
        for id in [-1, Int32.max, Int32.min, Int32(tokenizer.vocabularySize)] {
            #expect(tokenizer.bytes(of: id).isEmpty && !tokenizer.isSpecial(id))
            #expect(tokenizer.decode([id, the, id], skipSpecialTokens: true) == " the")
        }
    }

    @Test func emptyAddedTokenIsNoEndlessLoop() throws {
        var description = VocabularyDescription(model: "gpt2", pre: "gpt-2", tokens: [[], Array("a".utf8)])
        description.types = [3, 1]
        let tokenizer = try Tokenizer(description)
        #expect(tokenizer.encode("aa", addSpecialTokens: false) == [1, 1])
    }
}
