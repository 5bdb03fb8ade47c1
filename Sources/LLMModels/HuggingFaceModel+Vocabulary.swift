// The vocabulary of a Hugging Face folder, for the tokenizer.
import LLMTokenizers

extension HuggingFaceModel {
    package func tokenizer() throws(ModelError) -> Tokenizer {
        throw .unsupported(path: path, field: "tokenizer.json", reason: "not supported")
    }
}
