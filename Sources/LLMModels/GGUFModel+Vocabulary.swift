// The vocabulary in a GGUF file's metadata: read for the tokenizer, and written.
import LLMTokenizers

extension GGUFModel {
    package func tokenizer() throws(ModelError) -> Tokenizer {
        func text(_ key: String) -> String? { file.metadata["tokenizer.ggml.\(key)"]?.stringValue }
        func id(_ name: String) -> Int32? {
            file.metadata["tokenizer.ggml.\(name)_token_id"]?.intValue.flatMap(Int32.init(exactly:))
        }
        guard let tokens = file.metadata["tokenizer.ggml.tokens"]?.arrayValue?.byteStrings else {
            throw .invalidFile(path: path, field: "key \"tokenizer.ggml.tokens\"", reason: "the vocabulary is missing")
        }
        guard tokens.count == configuration.vocabularySize else {
            throw .invalidFile(
                path: path, field: "key \"tokenizer.ggml.tokens\"",
                reason: "\(tokens.count) tokens for \(configuration.vocabularySize) rows of the embedding")
        }
        var vocabulary = VocabularyDescription(
            model: text("model") ?? "", pre: text("pre") ?? "default", tokens: tokens)
        vocabulary.types =
            file.metadata["tokenizer.ggml.token_type"]?.arrayValue?.integers?.map { Int32(truncatingIfNeeded: $0) }
            ?? []
        vocabulary.scores = file.metadata["tokenizer.ggml.scores"]?.arrayValue?.floats ?? []
        vocabulary.merges = file.metadata["tokenizer.ggml.merges"]?.arrayValue?.byteStrings ?? []
        vocabulary.beginOfText = id("bos")
        vocabulary.endOfText = id("eos")
        vocabulary.unknown = id("unknown")
        vocabulary.addsBeginOfText = file.metadata["tokenizer.ggml.add_bos_token"]?.boolValue
        vocabulary.addsEndOfText = file.metadata["tokenizer.ggml.add_eos_token"]?.boolValue
        vocabulary.addsSpacePrefix = file.metadata["tokenizer.ggml.add_space_prefix"]?.boolValue
        do throws(TokenizerError) {
            return try Tokenizer(vocabulary)
        } catch {
            throw .invalidFile(path: path, field: "vocabulary", reason: error.description)
        }
    }
}

extension GGUFMetadata {
    mutating func set(_ vocabulary: VocabularyDescription) {
        func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
        set(key("model"), .string(vocabulary.model))
        set(key("pre"), .string(vocabulary.pre))
        set(key("tokens"), .array(GGUFArray(vocabulary.tokens)))
        set(key("token_type"), .array(GGUFArray(vocabulary.types)))
        if !vocabulary.scores.isEmpty { set(key("scores"), .array(GGUFArray(vocabulary.scores))) }
        if !vocabulary.merges.isEmpty { set(key("merges"), .array(GGUFArray(vocabulary.merges))) }
        for (name, id) in [
            ("bos", vocabulary.beginOfText), ("eos", vocabulary.endOfText), ("unknown", vocabulary.unknown),
        ] {
            if let id { set(key("\(name)_token_id"), .uint32(UInt32(id))) }
        }
        for (name, flag) in [
            ("add_bos_token", vocabulary.addsBeginOfText), ("add_eos_token", vocabulary.addsEndOfText),
            ("add_space_prefix", vocabulary.addsSpacePrefix),
        ] {
            if let flag { set(key(name), .bool(flag)) }
        }
    }
}
