// The vocabularies of the real models, against the `tokenizers` library on the same vocabularies.
import LLMModels
import Testing
import TokenizerGoldens

@Suite struct RealVocabularyTests {
    @Test(arguments: ["smollm2-135m-instruct", "gemma3-270m"]) func goldens(_ name: String) throws {
        let tokenizer = try openModel(try realModel(name)).tokenizer()
        let differences = try TokenizerGoldens("real-\(name)").differences(tokenizer)
        #expect(differences.isEmpty, "\(differences.count) differences, first: \(differences.prefix(5))")
    }
}
