// A model's tokens as a tree of bytes.
import LLMTokenizers

/// Immutable; made once for each model. Nodes stand in the order of a walk that visits a node before those below it, so a
/// walk is a loop, and a subtree is left out by one jump.
package final class Vocabulary: Sendable {
    /// Ids are smaller than this.
    package let size: Int
    /// Last byte of each node. Node 0 is the root and has none.
    let bytes: [UInt8]
    let depths: [Int32]
    /// First node behind the subtree.
    let ends: [Int32]
    /// Tokens that end in a node: `tokens[tokenOffsets[node]..<tokenOffsets[node + 1]]`. Several tokens may have the same bytes.
    let tokenOffsets: [Int32]
    let tokens: [Int32]
    let maximumDepth: Int
    /// Bytes that are a token of their own.
    let isByteToken: [Bool]
    /// The text of an answer begins without the first token's leading space, so no token with one may come first.
    let stripsFirstSpace: Bool
    private let spellings: [[UInt8]]

    /// - Parameters:
    ///   - spellings: what each token contributes to a text; empty for tokens that no constraint may allow.
    package init(spellings: [[UInt8]], stripsFirstSpace: Bool = false) {
        size = spellings.count
        self.spellings = spellings
        self.stripsFirstSpace = stripsFirstSpace
        let sorted = spellings.indices.filter { !spellings[$0].isEmpty }.sorted { first, second in
            if spellings[first].lexicographicallyPrecedes(spellings[second]) { return true }
            return spellings[first] == spellings[second] && first < second
        }
        var bytes: [UInt8] = [0]
        var depths: [Int32] = [0]
        var tokenOffsets: [Int32] = [0]
        var tokens: [Int32] = []
        var isByteToken = [Bool](repeating: false, count: 256)
        var path: ArraySlice<UInt8> = []
        for token in sorted {
            let spelling = spellings[token]
            if spelling.count == 1 { isByteToken[Int(spelling[0])] = true }
            let shared = zip(path, spelling).prefix { $0 == $1 }.count
            for depth in shared..<spelling.count {
                tokenOffsets.append(Int32(tokens.count))
                bytes.append(spelling[depth])
                depths.append(Int32(depth + 1))
            }
            tokens.append(Int32(token))
            path = spelling[...]
        }
        tokenOffsets.append(Int32(tokens.count))
        var ends = [Int32](repeating: Int32(bytes.count), count: bytes.count)
        var open: [Int] = []
        for node in bytes.indices {
            while let last = open.last, depths[last] >= depths[node] {
                ends[last] = Int32(node)
                open.removeLast()
            }
            open.append(node)
        }
        self.bytes = bytes
        self.depths = depths
        self.ends = ends
        self.tokenOffsets = tokenOffsets
        self.tokens = tokens
        self.isByteToken = isByteToken
        maximumDepth = Int(depths.max() ?? 0)
    }

    /// - Parameter size: tokens that the model gives logits for; a tokenizer may know more or fewer.
    package convenience init(_ tokenizer: Tokenizer, size: Int) {
        self.init(
            spellings: (0..<Int32(size)).map { tokenizer.bytes(of: $0) },
            stripsFirstSpace: tokenizer.stripsFirstSpace)
    }

    /// What the token contributes to a text; nothing for one that no constraint allows.
    func spelling(of token: Int32) -> [UInt8] { spellings.indices.contains(Int(token)) ? spellings[Int(token)] : [] }

    /// The child of a node; nil when no token goes on that way.
    func child(of node: Int, _ byte: UInt8) -> Int? {
        var child = node + 1
        while child < Int(ends[node]) {
            if bytes[child] == byte { return child }
            if bytes[child] > byte { return nil }
            child = Int(ends[child])
        }
        return nil
    }

    func hasToken(_ node: Int) -> Bool { tokenOffsets[node] < tokenOffsets[node + 1] }

    /// 64-bit words of a mask over all tokens.
    package var maskWords: Int { (size + 63) / 64 }
}
