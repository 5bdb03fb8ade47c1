// Reads bytes with an automaton and stacks: all ways at the same time.

/// The text of an answer, and the walk over the vocabulary that follows from it. Configurations are kept in levels: one for the
/// text, and one more for each byte of the token that is tried.
struct Reader {
    let automaton: Automaton
    let ends: TokenEnds
    private(set) var arena = StackArena()
    /// Those of all levels, one level after the other.
    private(set) var configurations: [Configuration] = []
    private var pending: [Configuration] = []
    private var visited: [Configuration] = []
    /// The lowest rule can end here.
    private(set) var isAtEnd = false

    init(_ automaton: Automaton, _ ends: TokenEnds) {
        self.automaton = automaton
        self.ends = ends
        configurations.reserveCapacity(256)
    }

    /// Forgets everything and begins in a state, which is entered as if a byte had led there.
    mutating func begin(_ state: Int32) {
        configurations.removeAll(keepingCapacity: true)
        arena.truncate(0)
        isAtEnd = false
        enter(state, StackArena.bottom, level: 0)
        finishLevel(0)
    }

    /// Begins with the byte-taking state alone: what its rule does on its own.
    mutating func begin(inside state: Int32) {
        configurations.removeAll(keepingCapacity: true)
        arena.truncate(0)
        isAtEnd = false
        configurations.append(Configuration(state: state, stack: StackArena.bottom))
    }

    /// Tokens that are enough from the best of the configurations from `level` on.
    func need(from level: Int) -> Int32 {
        if isAtEnd { return 0 }
        var best = TokenEnds.impossible
        for index in level..<configurations.count { best = min(best, need(configurations[index])) }
        return best
    }

    func need(_ configuration: Configuration) -> Int32 {
        min(TokenEnds.impossible, ends.counts[Int(configuration.state)] + arena.need(configuration.stack))
    }

    /// Reads a byte from the level `from..<to` into a new one behind it. Returns whether anything is left.
    mutating func read(_ byte: UInt8, from: Int, to: Int) -> Bool {
        let level = configurations.count
        let letter = Int(automaton.classes[Int(byte)])
        isAtEnd = false
        for index in from..<to {
            let configuration = configurations[index]
            let target = automaton.next[Int(configuration.state) * automaton.classCount + letter]
            if target >= 0 { enter(target, configuration.stack, level: level) }
        }
        if configurations.count - level > 1 { finishLevel(level) }
        return isAtEnd || configurations.count > level
    }

    /// Replaces the only level by what a byte makes of it.
    mutating func take(_ byte: UInt8) -> Bool {
        let count = configurations.count
        let isAlive = read(byte, from: 0, to: count)
        configurations.removeFirst(count)
        return isAlive
    }

    /// A new level: what comes after the return from the rule that `stack` was pushed for.
    mutating func openReturn(_ stack: Int32) {
        let level = configurations.count
        isAtEnd = false
        if stack != StackArena.bottom {
            let node = arena[stack]
            enter(node.state, node.parent, level: level)
            finishLevel(level)
        }
    }

    mutating func truncate(configurations count: Int, stacks: Int) {
        configurations.removeLast(configurations.count - count)
        arena.truncate(stacks)
    }

    /// Frees stacks that nothing refers to. Only with one level.
    mutating func compact() { arena.compact(&configurations) }

    // MARK: Without a byte

    private mutating func enter(_ state: Int32, _ stack: Int32, level: Int) {
        let traits = automaton.traits[Int(state)]
        if traits == .bytes { return append(Configuration(state: state, stack: stack), level) }
        pending.append(Configuration(state: state, stack: stack))
        let firstVisited = visited.count
        while let current = pending.popLast() {
            let traits = automaton.traits[Int(current.state)]
            if traits.contains(.bytes) { append(current, level) }
            if traits == .bytes || isVisited(current, since: firstVisited) { continue }
            if visited.count - firstVisited >= 8 * ConstraintLimits.configurations { continue }
            visited.append(current)
            if traits.contains(.end) {
                if current.stack == StackArena.bottom {
                    isAtEnd = true
                } else {
                    let node = arena[current.stack]
                    pending.append(Configuration(state: node.state, stack: node.parent))
                }
            }
            for index in automaton.calls(of: current.state) {
                let call = automaton.calls[index]
                let stack =
                    call.isTail
                    ? current.stack
                    : arena.push(call.target, need: ends.counts[Int(call.target)], on: current.stack)
                pending.append(Configuration(state: call.start, stack: stack))
            }
        }
        visited.removeLast(visited.count - firstVisited)
    }

    private func isVisited(_ configuration: Configuration, since first: Int) -> Bool {
        for index in first..<visited.count
        where visited[index].state == configuration.state && arena.areEqual(visited[index].stack, configuration.stack) {
            return true
        }
        return false
    }

    private mutating func append(_ configuration: Configuration, _ level: Int) {
        for index in level..<configurations.count
        where configurations[index].state == configuration.state
            && arena.areEqual(configurations[index].stack, configuration.stack)
        {
            return
        }
        configurations.append(configuration)
    }

    /// Bounds the level. The best way stays, so the text can still be ended in time.
    private mutating func finishLevel(_ level: Int) {
        guard configurations.count - level > ConstraintLimits.configurations else { return }
        var best = level
        for index in level..<configurations.count where need(configurations[index]) < need(configurations[best]) {
            best = index
        }
        configurations.swapAt(level, best)
        configurations.removeLast(configurations.count - level - ConstraintLimits.configurations)
    }
}
