// Expressions as a non-deterministic automaton (Thompson's construction).

/// All rules of a grammar in one graph.
struct NodeGraph {
    /// What leaves a node. `none` = a node without way out.
    enum Step {
        case none
        case jump(Int32)
        case split(Int32, Int32)
        case bytes(ClosedRange<UInt8>, Int32)
        case call(rule: Int32, Int32)
        case begin(Int32)
        case end(Int32)
    }

    private(set) var steps: [Step] = []

    /// First and last node of a part.
    struct Part {
        var first: Int32
        var last: Int32
    }

    private mutating func node(_ step: Step = .none) -> Int32 {
        steps.append(step)
        return Int32(steps.count - 1)
    }

    private mutating func jump(from: Int32, to: Int32) { steps[Int(from)] = .jump(to) }

    mutating func add(_ expression: Expression, place: String) throws(ConstraintError) -> Part {
        if steps.count > ConstraintLimits.nodes {
            throw ConstraintError(.tooLarge, place, "needs more than \(ConstraintLimits.nodes) nodes")
        }
        switch expression {
        case .bytes(let bytes): return string(bytes.map { $0...$0 })
        case .scalars(let set): return set.utf8.isEmpty ? nothing() : alternatives(set.utf8.map { string($0) })
        case .sequence(let parts): return try sequence(parts, place)
        case .choice(let choices):
            var parts: [Part] = []
            for choice in choices { parts.append(try add(choice, place: place)) }
            return parts.isEmpty ? nothing() : alternatives(parts)
        case .repeated(let part, let least, let most): return try repeated(part, least, most, place)
        case .list(let elements, let separator, let rest): return try list(elements, separator, rest, place)
        case .call(let rule):
            let last = node()
            return Part(first: node(.call(rule: Int32(rule), last)), last: last)
        case .automaton(let automaton): return embed(automaton)
        case .begin:
            let last = node()
            return Part(first: node(.begin(last)), last: last)
        case .end:
            let last = node()
            return Part(first: node(.end(last)), last: last)
        }
    }

    private mutating func nothing() -> Part { Part(first: node(), last: node()) }

    private mutating func string(_ bytes: [ClosedRange<UInt8>]) -> Part {
        let last = node()
        var first = last
        for range in bytes.reversed() { first = node(.bytes(range, first)) }
        return Part(first: first, last: last)
    }

    private mutating func alternatives(_ parts: [Part]) -> Part {
        var first = parts.last!.first
        for part in parts.dropLast().reversed() { first = node(.split(part.first, first)) }
        let last = node()
        for part in parts { jump(from: part.last, to: last) }
        return Part(first: first, last: last)
    }

    private mutating func sequence(_ expressions: [Expression], _ place: String) throws(ConstraintError) -> Part {
        let first = node()
        var last = first
        for expression in expressions {
            let part = try add(expression, place: place)
            jump(from: last, to: part.first)
            last = part.last
        }
        return Part(first: first, last: last)
    }

    private mutating func repeated(
        _ expression: Expression, _ least: Int, _ most: Int?, _ place: String
    ) throws(ConstraintError) -> Part {
        let first = node()
        var last = first
        for _ in 0..<least {
            let part = try add(expression, place: place)
            jump(from: last, to: part.first)
            last = part.last
        }
        guard let most else {
            let part = try add(expression, place: place)
            let end = node()
            let loop = node(.split(part.first, end))
            jump(from: last, to: loop)
            jump(from: part.last, to: loop)
            return Part(first: first, last: end)
        }
        let end = node()
        for _ in least..<max(least, most) {
            let part = try add(expression, place: place)
            steps[Int(last)] = .split(part.first, end)
            last = part.last
        }
        jump(from: last, to: end)
        return Part(first: first, last: end)
    }

    /// Two tracks side by side: nothing written yet, and something written, where a separator comes first.
    private mutating func list(
        _ elements: [Expression.Element], _ separator: Expression, _ rest: Expression?, _ place: String
    ) throws(ConstraintError) -> Part {
        let first = node()
        var (none, some) = (first, node())
        for element in elements {
            let comma = try add(separator, place: place)
            let part = try add(element.expression, place: place)
            jump(from: comma.last, to: part.first)
            if element.isRequired {
                jump(from: none, to: part.first)
                jump(from: some, to: comma.first)
                (none, some) = (node(), part.last)
            } else {
                let (nextNone, nextSome) = (node(), node())
                steps[Int(none)] = .split(part.first, nextNone)
                steps[Int(some)] = .split(comma.first, nextSome)
                jump(from: part.last, to: nextSome)
                (none, some) = (nextNone, nextSome)
            }
        }
        let end = node()
        if let rest {
            let comma = try add(separator, place: place)
            let part = try add(rest, place: place)
            jump(from: comma.last, to: part.first)
            steps[Int(none)] = .split(part.first, end)
            steps[Int(some)] = .split(comma.first, end)
            jump(from: part.last, to: some)
        } else {
            jump(from: none, to: end)
            jump(from: some, to: end)
        }
        return Part(first: first, last: end)
    }

    private mutating func embed(_ automaton: ByteAutomaton) -> Part {
        let base = Int32(steps.count)
        for _ in automaton.states { _ = node() }
        let last = node()
        for (index, state) in automaton.states.enumerated() {
            var way: Int32? = state.isAccepting ? last : nil
            for edge in state.edges {
                let next = node(.bytes(edge.bytes, base + edge.target))
                way = way.map { node(.split(next, $0)) } ?? next
            }
            if let way { jump(from: base + Int32(index), to: way) }
        }
        return Part(first: base, last: last)
    }
}
