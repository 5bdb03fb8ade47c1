// Which tokens one state allows, whatever its stack holds.

/// What a state's own rule says about every token: those that stay in the rule, or end exactly where it ends, are decided;
/// for those that go on behind its end the caller has to be asked.
final class TokenMask: Sendable {
    enum Tokens: Sendable {
        case few([Int32])
        case many([UInt64])
    }

    let tokens: Tokens
    /// Nodes of the vocabulary where the rule may end and that have nodes below them.
    let exits: [Int32]
    /// The most that one of the tokens needs to the end of the rule afterwards.
    let largestNeed: Int32

    init(tokens: Tokens, exits: [Int32], largestNeed: Int32) {
        self.tokens = tokens
        self.exits = exits
        self.largestNeed = largestNeed
    }

    var byteCount: Int {
        switch tokens {
        case .few(let tokens): 64 + tokens.count * 4 + exits.count * 4
        case .many(let words): 64 + words.count * 8 + exits.count * 4
        }
    }

    func add(to words: UnsafeMutablePointer<UInt64>) {
        switch tokens {
        case .few(let tokens): for token in tokens { words[Int(token) >> 6] |= 1 << UInt64(token & 63) }
        case .many(let mask): for index in mask.indices { words[index] |= mask[index] }
        }
    }
}

/// How much was there before the bytes of one depth of a walk.
struct WalkLevel {
    var configurations: Int32 = 0
    var stacks: Int32 = 0
}

extension Reader {
    /// Walks the subtree below `root`, whose configurations are those from `level` on, and allows every token after which at
    /// most `limit` tokens are needed.
    /// - Parameters:
    ///   - exits: gets the nodes where the lowest rule ends; what is below them is not known here.
    /// - Returns: the largest need of an allowed token.
    mutating func walk(
        _ vocabulary: Vocabulary, below root: Int, level: Int, limit: Int32, words: UnsafeMutablePointer<UInt64>,
        levels: inout [WalkLevel], exits: inout [Int32]
    ) -> Int32 {
        let stacks = arena.count
        var largest: Int32 = 0
        let base = vocabulary.depths[root]
        // `levels[d]` and `levels[d + 1]` bound the configurations after d bytes.
        levels[0] = WalkLevel(configurations: Int32(level), stacks: Int32(stacks))
        levels[1] = WalkLevel(configurations: Int32(configurations.count), stacks: Int32(arena.count))
        var node = root + 1
        let end = Int(vocabulary.ends[root])
        while node < end {
            let depth = Int(vocabulary.depths[node] - base)
            let from = Int(levels[depth - 1].configurations)
            let to = Int(levels[depth].configurations)
            truncate(configurations: to, stacks: Int(levels[depth].stacks))
            guard read(vocabulary.bytes[node], from: from, to: to) else {
                node = Int(vocabulary.ends[node])
                continue
            }
            levels[depth + 1] = WalkLevel(configurations: Int32(configurations.count), stacks: Int32(arena.count))
            let tokens = Int(vocabulary.tokenOffsets[node])..<Int(vocabulary.tokenOffsets[node + 1])
            if !tokens.isEmpty {
                let need = need(from: to)
                if need <= limit {
                    largest = max(largest, need)
                    for index in tokens {
                        let token = Int(vocabulary.tokens[index])
                        words[token >> 6] |= 1 << UInt64(token & 63)
                    }
                }
            }
            if isAtEnd && vocabulary.ends[node] > node + 1 { exits.append(Int32(node)) }
            node = configurations.count == to ? Int(vocabulary.ends[node]) : node + 1
        }
        truncate(configurations: Int(levels[1].configurations), stacks: stacks)
        return largest
    }
}
