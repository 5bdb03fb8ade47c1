// A compiled grammar: one deterministic automaton for each rule, calls between them. Together with a stack of the states to
// return to it reads every text of the grammar, byte by byte.

final class Automaton: Sendable {
    struct Call: Sendable {
        /// First state of the called rule.
        var start: Int32
        /// Where it goes on afterwards.
        var target: Int32
        /// Nothing can come in `target` but the return from it, so nobody has to return there.
        var isTail: Bool
    }

    /// What a state has.
    struct Traits: OptionSet, Sendable {
        let rawValue: UInt8
        static let bytes = Traits(rawValue: 1)
        static let calls = Traits(rawValue: 2)
        static let end = Traits(rawValue: 4)
    }

    let classes: [UInt8]
    let classCount: Int
    /// [state][class] → state or −1.
    let next: [Int32]
    let traits: [Traits]
    /// Range of `calls` of each state: `callOffsets[state]..<callOffsets[state + 1]`.
    let callOffsets: [Int32]
    let calls: [Call]
    let root: Int32

    var stateCount: Int { traits.count }

    func calls(of state: Int32) -> Range<Int> { Int(callOffsets[Int(state)])..<Int(callOffsets[Int(state) + 1]) }

    /// What it holds, roughly.
    var byteCount: Int { next.count * 4 + traits.count * 5 + calls.count * 12 }

    init(_ grammar: Grammar) throws(ConstraintError) {
        var graph = NodeGraph()
        var parts: [NodeGraph.Part] = []
        for rule in grammar.rules { parts.append(try graph.add(rule.expression, place: rule.name)) }
        var construction = SubsetConstruction(graph)
        var draft = AutomatonDraft(classCount: construction.classCount)
        for (index, rule) in grammar.rules.enumerated() {
            draft.add(try construction.determinise(parts[index], place: rule.name), name: rule.name)
        }
        draft.link()
        try draft.prune()
        try draft.refuseLeftRecursion()
        classes = construction.classes
        classCount = construction.classCount
        root = draft.starts[0]
        next = draft.next
        callOffsets = draft.callOffsets
        let traits = draft.traits()
        self.traits = traits
        calls = draft.calls.map { call in
            Call(start: call.start, target: call.target, isTail: traits[Int(call.target)] == .end)
        }
    }
}

/// An automaton that is being put together.
struct AutomatonDraft {
    struct Call {
        var rule: Int32
        var start: Int32
        var target: Int32
    }

    let classCount: Int
    private(set) var next: [Int32] = []
    private(set) var isAccepting: [Bool] = []
    private(set) var callOffsets: [Int32] = [0]
    private(set) var calls: [Call] = []
    private(set) var starts: [Int32] = []
    private var names: [String] = []

    init(classCount: Int) { self.classCount = classCount }

    mutating func add(_ rule: RuleAutomaton, name: String) {
        let base = Int32(isAccepting.count)
        starts.append(base)
        names.append(name)
        for state in rule.states {
            next += state.next.map { $0 < 0 ? -1 : $0 + base }
            isAccepting.append(state.isAccepting)
            calls += state.calls.map { Call(rule: $0.rule, start: -1, target: $0.target + base) }
            callOffsets.append(Int32(calls.count))
        }
    }

    mutating func link() {
        for index in calls.indices { calls[index].start = starts[Int(calls[index].rule)] }
    }

    private func calls(of state: Int) -> Range<Int> { Int(callOffsets[state])..<Int(callOffsets[state + 1]) }

    /// Takes out steps from which no end can be reached.
    mutating func prune() throws(ConstraintError) {
        let ends = ShortestEnds(
            next: next, classCount: classCount, calls: calls.map { ($0.start, $0.target) }, callOffsets: callOffsets,
            isAccepting: isAccepting, weights: Array(repeating: 1, count: classCount))
        if ends.lengths[Int(starts[0])] == ShortestEnds.unreachable {
            throw ConstraintError(.impossible, "", "no text satisfies it")
        }
        func isDead(_ state: Int32) -> Bool { ends.lengths[Int(state)] == ShortestEnds.unreachable }
        for index in next.indices where next[index] >= 0 && isDead(next[index]) { next[index] = -1 }
        var kept: [Call] = []
        var offsets: [Int32] = [0]
        for state in isAccepting.indices {
            kept += calls[calls(of: state)].filter { !isDead($0.start) && !isDead($0.target) }
            offsets.append(Int32(kept.count))
        }
        (calls, callOffsets) = (kept, offsets)
        nullable = starts.map { ends.lengths[Int($0)] == 0 }
    }

    private var nullable: [Bool] = []

    func traits() -> [Automaton.Traits] {
        isAccepting.indices.map { state in
            var traits: Automaton.Traits = isAccepting[state] ? .end : []
            if !calls(of: state).isEmpty { traits.insert(.calls) }
            let row = next[state * classCount..<(state + 1) * classCount]
            if row.contains(where: { $0 >= 0 }) { traits.insert(.bytes) }
            return traits
        }
    }

    /// A rule that calls itself before it has taken a byte would be entered without end.
    func refuseLeftRecursion() throws(ConstraintError) {
        var first: [[Int]] = []
        for start in starts {
            var rules: Set<Int> = []
            var seen: Set<Int> = [Int(start)]
            var work = [Int(start)]
            while let state = work.popLast() {
                for call in calls[calls(of: state)] {
                    rules.insert(Int(call.rule))
                    if nullable[Int(call.rule)], seen.insert(Int(call.target)).inserted {
                        work.append(Int(call.target))
                    }
                }
            }
            first.append(rules.sorted())
        }
        // Depth-first, without recursion: a rule that is met again on the way to itself.
        var marks = [UInt8](repeating: 0, count: starts.count)
        for rule in starts.indices where marks[rule] == 0 {
            var way: [(rule: Int, next: Int)] = [(rule, 0)]
            marks[rule] = 1
            while let (current, index) = way.last {
                guard index < first[current].count else {
                    marks[current] = 2
                    way.removeLast()
                    continue
                }
                way[way.count - 1].next += 1
                let callee = first[current][index]
                if marks[callee] == 1 {
                    throw ConstraintError(
                        .unsupported, names[callee], "refers to itself before any character (left recursion)")
                }
                if marks[callee] == 0 {
                    marks[callee] = 1
                    way.append((callee, 0))
                }
            }
        }
    }
}
