// The vocabulary of a Hugging Face folder, for the tokenizer.
import LLMTokenizers

extension HuggingFaceModel {
    package func tokenizer() throws(ModelError) -> Tokenizer {
        guard let text = try folder.bytes("tokenizer.json") else {
            throw .unreadable(path: path, reason: "the folder has no tokenizer.json")
        }
        let configuration = try folder.bytes("tokenizer_config.json")
        do throws(TokenizerError) {
            return try Tokenizer(tokenizerJSON: text, configurationJSON: configuration)
        } catch {
            throw .invalidFile(path: path + "/tokenizer.json", field: "vocabulary", reason: error.description)
        }
    }
}
