// What a GGUF file says of its vocabulary (keys tokenizer.ggml.*), filled by who reads the file.

package struct VocabularyDescription: Sendable {
    /// `gpt2`: byte-level BPE; `llama`: SentencePiece.
    package var model: String
    /// Name of the pre-tokeniser, for byte-level BPE.
    package var pre: String
    package var tokens: [[UInt8]]
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; empty: all normal.
    package var types: [Int32]
    package var scores: [Float]
    /// `left right` in order of rank.
    package var merges: [[UInt8]]
    package var beginOfText: Int32?
    package var endOfText: Int32?
    package var unknown: Int32?
    package var addsBeginOfText: Bool?
    package var addsEndOfText: Bool?
    package var addsSpacePrefix: Bool?

    package init(model: String, pre: String, tokens: [[UInt8]]) {
        self.model = model
        self.pre = pre
        self.tokens = tokens
        types = []
        scores = []
        merges = []
    }

    enum TokenType {
        static let normal: Int32 = 1
        static let unknown: Int32 = 2
        static let control: Int32 = 3
        static let userDefined: Int32 = 4
        static let unused: Int32 = 5
        static let byte: Int32 = 6
    }
}
