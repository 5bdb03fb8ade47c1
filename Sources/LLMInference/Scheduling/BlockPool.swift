// Who uses which block of the key-value cache, and what the blocks hold that nobody uses any more. Only numbers: the
// memory is the model's.

/// Blocks are free, in use, or cached: unused, but holding keys and values that a later sequence may begin with.
///
/// The prefix tree: a *named* block stands for a token block after a named block, or after a root, so a path from a root
/// spells a prefix, exactly, not by a hash of it. Its keys and values are those of every sequence with that root and
/// prefix, since they depend on nothing else. A named block is *ready* once they have been computed.
///
/// Whoever uses a named block uses all those before it. So the cached blocks, taken from the ends of their paths, can all
/// be had again; the least recently used goes first.
package struct BlockPool: Sendable {
    /// What an attempt to share a block found.
    package enum Match: Equatable, Sendable {
        case ready(Int32)
        /// Somebody is computing it.
        case pending
        case none
    }

    private struct Name: Hashable {
        /// The block before, or a root.
        var parent: Int32
        var tokens: TokenBlock
    }

    private struct Block {
        var users = 0
        var children = 0
        var isReady = false
        var name: Name?
        /// Neighbours in the list of cached blocks without children.
        var older: Int32 = -1, newer: Int32 = -1
    }

    /// The usual beginning of a prefix; every other negative number is one as well.
    package static let root: Int32 = -1

    package let blockCount: Int
    private var blocks: [Block]
    private var named: [Name: Int32] = [:]
    private var free: [Int32]
    private var cachedCount = 0
    private var oldest: Int32 = -1, newest: Int32 = -1

    package init(blockCount: Int) {
        precondition(blockCount >= 0 && blockCount <= Int(Int32.max))
        self.blockCount = blockCount
        blocks = Array(repeating: Block(), count: blockCount)
        named.reserveCapacity(blockCount)
        // Taken from the end: low blocks first, so that a small load touches little memory.
        free = (0..<Int32(blockCount)).reversed()
    }

    /// Blocks that can be taken: free and cached ones.
    package var availableCount: Int { free.count + cachedCount }

    // MARK: Taking

    /// What there is for `tokens` after the named block or root `parent`.
    package func match(_ tokens: TokenBlock, after parent: Int32) -> Match {
        guard let block = named[Name(parent: parent, tokens: tokens)] else { return .none }
        return blocks[Int(block)].isReady ? .ready(block) : .pending
    }

    package func isUsed(_ block: Int32) -> Bool { blocks[Int(block)].users > 0 }

    /// One more user of a ready block.
    package mutating func share(_ block: Int32) {
        if blocks[Int(block)].users == 0 {
            cachedCount -= 1
            if blocks[Int(block)].children == 0 { unlink(block) }
        }
        blocks[Int(block)].users += 1
    }

    /// A block for one user, at the expense of what is cached if none is free. nil when all are in use.
    package mutating func take() -> Int32? {
        if free.isEmpty { forgetOldest() }
        guard let block = free.popLast() else { return nil }
        blocks[Int(block)].users = 1
        return block
    }

    // MARK: Naming

    /// Names a block that its one user fills with `tokens` after the named block or root `parent`. False, with
    /// nothing changed, when another one has that name.
    package mutating func name(_ block: Int32, _ tokens: TokenBlock, after parent: Int32) -> Bool {
        let name = Name(parent: parent, tokens: tokens)
        guard named[name] == nil else { return false }
        precondition(blocks[Int(block)].name == nil && blocks[Int(block)].users == 1, "a block gets one name")
        named[name] = block
        blocks[Int(block)].name = name
        if parent >= 0 { blocks[Int(parent)].children += 1 }
        return true
    }

    package func isNamed(_ block: Int32) -> Bool { blocks[Int(block)].name != nil }

    /// The keys and values of a named block have been computed.
    package mutating func markReady(_ block: Int32) { blocks[Int(block)].isReady = true }

    // MARK: Giving back

    /// One user less for every block of `table`, which becomes empty. Ready blocks stay cached.
    package mutating func release(_ table: inout BlockTable) {
        while let block = table.blocks.popLast() {
            let index = Int(block)
            blocks[index].users -= 1
            if blocks[index].users > 0 { continue }
            if blocks[index].isReady {
                cachedCount += 1
                if blocks[index].children == 0 { link(block) }
            } else {
                forget(block)
            }
        }
    }

    private mutating func forgetOldest() {
        guard oldest >= 0 else { return }
        let block = oldest
        unlink(block)
        cachedCount -= 1
        forget(block)
    }

    /// Takes the name, if any, off a block that is not used, and makes it free.
    private mutating func forget(_ block: Int32) {
        if let name = blocks[Int(block)].name {
            named[name] = nil
            if name.parent >= 0 {
                let parent = Int(name.parent)
                blocks[parent].children -= 1
                if blocks[parent].children == 0 && blocks[parent].users == 0 && blocks[parent].isReady {
                    link(name.parent)
                }
            }
        }
        blocks[Int(block)] = Block()
        free.append(block)
    }

    // MARK: The list of cached blocks without children

    private mutating func link(_ block: Int32) {
        blocks[Int(block)].older = newest
        blocks[Int(block)].newer = -1
        if newest >= 0 { blocks[Int(newest)].newer = block } else { oldest = block }
        newest = block
    }

    private mutating func unlink(_ block: Int32) {
        let (older, newer) = (blocks[Int(block)].older, blocks[Int(block)].newer)
        if older >= 0 { blocks[Int(older)].newer = newer } else { oldest = newer }
        if newer >= 0 { blocks[Int(newer)].older = older } else { newest = older }
        blocks[Int(block)].older = -1
        blocks[Int(block)].newer = -1
    }

    // MARK: Checks

    /// What is wrong with the books, given the tables of all users; nil if nothing is. For tests: it looks at every block.
    package func problem(tables: [[Int32]]) -> String? {
        var users = Array(repeating: 0, count: blockCount)
        for block in tables.joined() { users[Int(block)] += 1 }
        var cached = 0
        var ends: Set<Int32> = []
        for (index, block) in blocks.enumerated() {
            if block.users != users[index] { return "block \(index) has \(users[index]) users, not \(block.users)" }
            if block.users > 1 && !block.isReady { return "block \(index) is shared before it is ready" }
            if block.isReady && block.name == nil { return "block \(index) is ready without a name" }
            if let name = block.name {
                if named[name] != Int32(index) { return "block \(index) is not found under its name" }
                if name.parent >= 0 && block.users > 0 && users[Int(name.parent)] == 0 { return "an unused parent" }
                if name.parent >= 0 && blocks[Int(name.parent)].name == nil { return "a parent without a name" }
            }
            if block.users == 0 && block.isReady {
                cached += 1
                if block.children == 0 { ends.insert(Int32(index)) }
            } else if block.users == 0 && block.name != nil {
                return "block \(index) is neither free nor cached"
            }
            if blocks.count(where: { $0.name?.parent == Int32(index) }) != block.children { return "lost children" }
        }
        let inUse = users.count { $0 > 0 }
        if cached != cachedCount || Set(free).count != free.count || free.count + cached + inUse != blockCount {
            return "\(free.count) free, \(cached) cached (\(cachedCount)), \(inUse) in use, of \(blockCount)"
        }
        if named.count != blocks.count(where: { $0.name != nil }) { return "names without blocks" }
        var walked: [Int32] = []
        var next = oldest
        while next >= 0 && walked.count <= blockCount {
            walked.append(next)
            next = blocks[Int(next)].newer
        }
        return Set(walked) == ends && walked.count == ends.count ? nil : "the list of cached blocks is wrong"
    }
}
