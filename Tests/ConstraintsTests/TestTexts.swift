// What the tests of this target share.
import Foundation
import JSON
import LLMModels
import Testing

@testable import LLMConstraints

/// Random numbers for property tests: a printed seed repeats a failure.
struct TestRandom: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64 = .random(in: 0 ... .max)) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var x = state
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &self) }
    mutating func pick<T>(_ values: [T]) -> T { values[int(0...(values.count - 1))] }
}

/// A compiled source without a model: every byte is a token.
struct TextJudge {
    private let constraint: TokenConstraint

    init(_ source: ConstraintSource) throws(ConstraintError) {
        constraint = try TokenConstraint(source, vocabulary: .bytes)
    }

    func accepts(_ text: String) -> Bool {
        let matcher = ConstraintMatcher(constraint)
        for byte in text.utf8 where !matcher.accept(Int32(byte)) { return false }
        return matcher.isSatisfied
    }
}

extension Vocabulary {
    static let bytes = Vocabulary(spellings: (0..<256).map { [UInt8($0)] })

    /// That of SmolLM2, the model file of which the tests need.
    static let smolLM2: Result<Vocabulary, any Error> = Result {
        let folder = try #require(
            ProcessInfo.processInfo.environment["MILLRACE_MODELS"],
            "MILLRACE_MODELS does not name the folder with models")
        let tokenizer = try openModel(folder + "/smollm2-135m-instruct.gguf").tokenizer()
        return Vocabulary(tokenizer, size: tokenizer.vocabularySize)
    }
}

enum Goldens {
    static func entries(_ name: String) throws -> [JSONValue] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Goldens")
        let data = try Data(contentsOf: folder.appending(path: name + ".json"))
        return try #require(try JSONValue(parsing: data).arrayValue)
    }

    /// (text, whether it is accepted)
    static func texts(_ entry: JSONValue) -> [(String, Bool)] {
        (entry["texts"]?.arrayValue ?? []).map { ($0.arrayValue![0].stringValue!, $0.arrayValue![1] == true) }
    }
}

/// Walks through an answer the way an engine does.
struct Walk {
    let constraint: TokenConstraint
    private(set) var matcher: ConstraintMatcher
    private(set) var words: [UInt64]
    private(set) var bytes: [UInt8] = []
    private(set) var tokens: [Int32] = []

    init(_ constraint: TokenConstraint) {
        self.constraint = constraint
        matcher = ConstraintMatcher(constraint)
        words = Array(repeating: 0, count: constraint.vocabulary.maskWords)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    mutating func allowed(remaining: Int) -> [Int32] {
        matcher.fillMask(&words, remaining: remaining)
        var tokens: [Int32] = []
        for (index, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                tokens.append(Int32(index * 64 + rest.trailingZeroBitCount))
                rest &= rest - 1
            }
        }
        return tokens
    }

    mutating func take(_ token: Int32) -> Bool {
        tokens.append(token)
        bytes += constraint.vocabulary.spelling(of: token)
        return matcher.accept(token)
    }

    /// Uniformly among the allowed tokens and, where it may end, the end. False when something was wrong.
    mutating func finishAtRandom(within limit: Int, _ random: inout TestRandom) -> Bool {
        for count in 0..<limit {
            if matcher.isComplete { return true }
            let allowed = allowed(remaining: limit - count)
            if matcher.isSatisfied && (allowed.isEmpty || random.int(0...20) == 0) { return true }
            guard !allowed.isEmpty, take(random.pick(allowed)) else { return false }
        }
        return matcher.isSatisfied
    }
}
