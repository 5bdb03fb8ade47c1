// A deterministic automaton over bytes, and what can be done with two of them.

/// State 0 is the start. Every state can reach an accepting one, except the start of an automaton that accepts nothing.
struct ByteAutomaton: Sendable {
    struct Edge: Sendable, Hashable {
        var bytes: ClosedRange<UInt8>
        var target: Int32
    }

    struct State: Sendable {
        /// Sorted, without overlap.
        var edges: [Edge] = []
        var isAccepting = false
    }

    private(set) var states: [State]

    init(trimming states: [State]) {
        self.states = states
        trim()
    }

    var isEmpty: Bool { !states[0].isAccepting && states[0].edges.isEmpty }

    func accepts(_ bytes: some Sequence<UInt8>) -> Bool {
        var state = 0
        for byte in bytes {
            guard let edge = states[state].edges.first(where: { $0.bytes.contains(byte) }) else { return false }
            state = Int(edge.target)
        }
        return states[state].isAccepting
    }

    /// What both accept.
    func intersection(_ other: ByteAutomaton, place: String) throws(ConstraintError) -> ByteAutomaton {
        var numbers: [SIMD2<Int32>: Int32] = [[0, 0]: 0]
        var pairs: [SIMD2<Int32>] = [[0, 0]]
        var result: [State] = []
        while result.count < pairs.count {
            let pair = pairs[result.count]
            let (left, right) = (states[Int(pair.x)], other.states[Int(pair.y)])
            var state = State(isAccepting: left.isAccepting && right.isAccepting)
            var (first, second) = (0, 0)
            while first < left.edges.count && second < right.edges.count {
                let (a, b) = (left.edges[first], right.edges[second])
                let low = max(a.bytes.lowerBound, b.bytes.lowerBound)
                let high = min(a.bytes.upperBound, b.bytes.upperBound)
                if low <= high {
                    let target: SIMD2<Int32> = [a.target, b.target]
                    if numbers[target] == nil {
                        guard pairs.count < ConstraintLimits.states else { throw .tooManyStates(place) }
                        numbers[target] = Int32(pairs.count)
                        pairs.append(target)
                    }
                    state.edges.append(Edge(bytes: low...high, target: numbers[target]!))
                }
                if a.bytes.upperBound < b.bytes.upperBound { first += 1 } else { second += 1 }
            }
            result.append(state)
        }
        return ByteAutomaton(trimming: result)
    }

    /// What this one does not accept, of all byte strings.
    var complement: ByteAutomaton {
        let sink = Int32(states.count)
        var result = states
        result.append(State())
        for index in result.indices {
            result[index].isAccepting.toggle()
            var edges: [Edge] = []
            var next = 0
            for edge in result[index].edges {
                if Int(edge.bytes.lowerBound) > next {
                    edges.append(Edge(bytes: UInt8(next)...edge.bytes.lowerBound - 1, target: sink))
                }
                edges.append(edge)
                next = Int(edge.bytes.upperBound) + 1
            }
            if next <= 255 { edges.append(Edge(bytes: UInt8(next)...255, target: sink)) }
            result[index].edges = edges
        }
        return ByteAutomaton(trimming: result)
    }

    /// Leaves out states that lead nowhere.
    private mutating func trim() {
        var sources: [[Int32]] = Array(repeating: [], count: states.count)
        for (index, state) in states.enumerated() {
            for edge in state.edges { sources[Int(edge.target)].append(Int32(index)) }
        }
        var isAlive = states.map(\.isAccepting)
        var work = states.indices.filter { isAlive[$0] }
        while let state = work.popLast() {
            for source in sources[state] where !isAlive[Int(source)] {
                isAlive[Int(source)] = true
                work.append(Int(source))
            }
        }
        var numbers = [Int32](repeating: -1, count: states.count)
        var kept: [State] = []
        for index in states.indices where index == 0 || isAlive[index] {
            numbers[index] = Int32(kept.count)
            kept.append(states[index])
        }
        for index in kept.indices {
            kept[index].edges = kept[index].edges.compactMap { edge in
                isAlive[Int(edge.target)] ? Edge(bytes: edge.bytes, target: numbers[Int(edge.target)]) : nil
            }
        }
        states = kept
    }
}

extension ConstraintError {
    static func tooManyStates(_ place: String) -> ConstraintError {
        ConstraintError(.tooLarge, place, "needs more than \(ConstraintLimits.states) states")
    }
}
