// Where a prompt ends and its continuation begins, in tokens.
import LLMTokenizers

/// As in lm-eval-harness: white space at the prompt's end goes to the continuation, both are encoded as one text, and the
/// continuation's tokens are those behind as many as the prompt alone has.
struct ContinuationEncoder {
    private let tokenizer: Tokenizer
    /// Stands before everything.
    private let first: [Int32]
    private let prompt: String
    private let space: String
    private let promptCount: Int

    /// - Parameter isChat: the text of a chat template, which writes the begin-of-text token itself.
    init(_ text: String, isChat: Bool = false, tokenizer: Tokenizer) {
        self.tokenizer = tokenizer
        let scalars = text.unicodeScalars
        let end = scalars.lastIndex { !$0.properties.isWhitespace }.map(scalars.index(after:)) ?? scalars.startIndex
        prompt = String(scalars[..<end])
        space = String(scalars[end...])
        promptCount = tokenizer.encode(prompt, addSpecialTokens: false).count
        if promptCount == 0 {
            // Something has to stand before the first token.
            first = (tokenizer.beginOfText ?? tokenizer.endOfText).map { [$0] } ?? []
        } else {
            first = tokenizer.addsBeginOfText && !isChat ? tokenizer.beginOfText.map { [$0] } ?? [] : []
        }
    }

    struct Pair: Hashable {
        var tokens: [Int32]
        var firstScored: Int
    }

    /// Nil when the continuation has no token of its own, or nothing stands before it.
    func pair(_ continuation: String) -> Pair? {
        let tokens = first + tokenizer.encode(prompt + space + continuation, addSpecialTokens: false)
        let firstScored = first.count + promptCount
        return firstScored >= 1 && firstScored < tokens.count ? Pair(tokens: tokens, firstScored: firstScored) : nil
    }
}
