// Vocabularies of tokenizer.json in the words of GGUF: the same tokens, or a refusal.
import Foundation
import JSON
import LLMTokenizers
import Testing
import TokenizerGoldens

@Suite struct VocabularyDescriptionTests {
    @Test(arguments: ["gpt2", "smollm2", "qwen2", "llama3"]) func byteLevel(_ name: String) throws {
        var description = try VocabularyDescription(tokenizer(name))
        let goldens = try TokenizerGoldens("\(name)/expected")
        let differences = goldens.differences(try Tokenizer(description))
        #expect(differences.isEmpty, "\(differences.count) differences, first: \(differences.prefix(5))")
        let pre = ["gpt2": "gpt-2", "smollm2": "smollm", "qwen2": "qwen2", "llama3": "llama-bpe"][name]
        #expect(description.model == "gpt2" && description.pre == pre)
        let count = description.tokens.count
        description.pad(to: count + 5)
        #expect(
            description.tokens.last == Array("[PAD\(count + 4)]".utf8)
                && description.types.suffix(5) == [5, 5, 5, 5, 5])
        #expect(
            try Tokenizer(description).encode("One two", addSpecialTokens: false)
                == tokenizer(name).encode("One two", addSpecialTokens: false))
    }

    /// Trained by Hugging Face's library, these don't merge all that a SentencePiece model would.
    @Test(arguments: ["gemma", "mistral"]) func otherMergesThanSentencePieceAreRefused(_ name: String) throws {
        let error = #expect(throws: TokenizerError.self) { try VocabularyDescription(tokenizer(name)) }
        #expect("\(try #require(error))".contains("model.merges"))
    }

    @Test(arguments: ["metaspace", "flags"]) func rulesWithoutANameAreRefused(_ name: String) throws {
        #expect(throws: TokenizerError.self) { try VocabularyDescription(tokenizer(name)) }
    }

    /// With the merges that transformers makes of a SentencePiece model: all pairs that give a piece, in the order of the
    /// pieces' scores.
    @Test(arguments: ["gemma", "mistral"]) func sentencePiece(_ name: String) throws {
        let file = try Self.closed(name)
        let reference = try Tokenizer(
            tokenizerJSON: file, configurationJSON: TokenizerGoldens.file("\(name)/tokenizer_config.json"))
        let description = try VocabularyDescription(reference)
        #expect(description.model == "llama" && description.addsSpacePrefix == (name == "mistral"))
        #expect(description.addsBeginOfText == true && description.addsEndOfText == false)
        let copy = try Tokenizer(description)
        let goldens = try TokenizerGoldens("\(name)/expected")
        for text in goldens.texts {
            let wanted = reference.encode(text, addSpecialTokens: true)
            #expect(copy.encode(text, addSpecialTokens: true) == wanted, "\(text.debugDescription)")
            #expect(
                copy.decode(wanted, skipSpecialTokens: true) == reference.decode(wanted, skipSpecialTokens: true))
        }
    }

    private static func closed(_ name: String) throws -> [UInt8] {
        guard case .object(var file) = try JSONValue(parsing: TokenizerGoldens.file("\(name)/tokenizer.json")),
            case .object(var model) = file["model"], var vocabulary = model["vocab"]?.objectValue
        else { throw CocoaError(.fileReadCorruptFile) }
        // As in Gemma's file, words that were added are pieces, too.
        for token in file["added_tokens"]?.arrayValue ?? [] {
            vocabulary[token["content"]!.stringValue!] = token["id"]!
        }
        model["vocab"] = .object(vocabulary)
        var merges: [JSONValue] = []
        for (piece, id) in vocabulary.sorted(by: { $0.value.intValue! < $1.value.intValue! })
        where !piece.hasPrefix("<") || id.intValue! > 300 {
            for split in piece.unicodeScalars.indices.dropFirst() {
                let left = String(piece.unicodeScalars[..<split]), right = String(piece.unicodeScalars[split...])
                if vocabulary[left] != nil, vocabulary[right] != nil {
                    merges.append(.array([.string(left), .string(right)]))
                }
            }
        }
        model["merges"] = .array(merges)
        file["model"] = .object(model)
        return Array(JSONValue.object(file).text().utf8)
    }
}
