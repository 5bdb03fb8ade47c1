// From nodes to deterministic states.

/// One rule made deterministic. A call counts as one more letter.
struct RuleAutomaton {
    struct State {
        /// Target of each class of bytes, or −1.
        var next: [Int32]
        var calls: [(rule: Int32, target: Int32)]
        var isAccepting: Bool
    }

    var states: [State] = []
}

/// Holds scratch memory for all rules of a graph.
struct SubsetConstruction {
    private let steps: [NodeGraph.Step]
    /// Class of each byte: bytes of one class are never told apart.
    let classes: [UInt8]
    let classCount: Int
    private var stamps: [Int32]
    private var stamp: Int32 = 0
    private var work = 0
    private var stateCount = 0

    init(_ graph: NodeGraph) {
        steps = graph.steps
        var isBoundary = [Bool](repeating: false, count: 257)
        for case .bytes(let range, _) in graph.steps {
            isBoundary[Int(range.lowerBound)] = true
            isBoundary[Int(range.upperBound) + 1] = true
        }
        var classes = [UInt8](repeating: 0, count: 256)
        for byte in 1..<256 { classes[byte] = classes[byte - 1] + (isBoundary[byte] ? 1 : 0) }
        self.classes = classes
        classCount = Int(classes[255]) + 1
        stamps = Array(repeating: 0, count: graph.steps.count)
    }

    /// - Parameter place: for messages.
    mutating func determinise(_ part: NodeGraph.Part, place: String) throws(ConstraintError) -> RuleAutomaton {
        var automaton = RuleAutomaton()
        var numbers: [[Int32]: Int32] = [:]
        var sets: [[Int32]] = []
        var starts = closure([part.first])
        var begun: [Int32] = []
        for node in starts { if case .begin(let target) = steps[Int(node)] { begun.append(target) } }
        if !begun.isEmpty { starts = closure([part.first] + begun) }
        numbers[starts] = 0
        sets.append(starts)
        var byClass = [[Int32]](repeating: [], count: classCount)
        while automaton.states.count < sets.count {
            let set = sets[automaton.states.count]
            work += set.count + classCount
            stateCount += 1
            if work > ConstraintLimits.subsetWork || stateCount > ConstraintLimits.states {
                throw .tooManyStates(place)
            }
            var called: [(rule: Int32, targets: [Int32])] = []
            for node in set {
                switch steps[Int(node)] {
                case .bytes(let range, let target):
                    let span = Int(classes[Int(range.lowerBound)])...Int(classes[Int(range.upperBound)])
                    work += span.count
                    for letter in span { byClass[letter].append(target) }
                case .call(let rule, let target):
                    if let index = called.firstIndex(where: { $0.rule == rule }) {
                        called[index].targets.append(target)
                    } else {
                        called.append((rule, [target]))
                    }
                case .none, .jump, .split, .begin, .end: break
                }
            }
            var state = RuleAutomaton.State(
                next: Array(repeating: -1, count: classCount), calls: [], isAccepting: accepts(set, part.last))
            func number(_ targets: [Int32]) -> Int32 {
                let set = closure(targets)
                if let number = numbers[set] { return number }
                numbers[set] = Int32(sets.count)
                sets.append(set)
                return Int32(sets.count - 1)
            }
            // Neighbouring classes mostly lead to the same targets.
            var previous: (targets: [Int32], number: Int32) = ([], -1)
            for letter in 0..<classCount where !byClass[letter].isEmpty {
                if byClass[letter] != previous.targets {
                    previous = (byClass[letter], number(byClass[letter]))
                }
                state.next[letter] = previous.number
                byClass[letter].removeAll(keepingCapacity: true)
            }
            for call in called { state.calls.append((call.rule, number(call.targets))) }
            automaton.states.append(state)
        }
        return automaton
    }

    private mutating func accepts(_ set: [Int32], _ last: Int32) -> Bool {
        if set.contains(last) { return true }
        var ended: [Int32] = []
        for node in set { if case .end(let target) = steps[Int(node)] { ended.append(target) } }
        return !ended.isEmpty && closure(ended).contains(last)
    }

    /// Nodes that are reached without a letter and matter: those with a letter, a call or a mark, and ends. Sorted.
    private mutating func closure(_ nodes: [Int32]) -> [Int32] {
        stamp += 1
        var found: [Int32] = []
        var stack = nodes
        while let node = stack.popLast() {
            if stamps[Int(node)] == stamp { continue }
            stamps[Int(node)] = stamp
            work += 1
            switch steps[Int(node)] {
            case .jump(let target): stack.append(target)
            case .split(let first, let second):
                stack.append(second)
                stack.append(first)
            case .none, .bytes, .call, .begin, .end: found.append(node)
            }
        }
        return found.sorted()
    }
}

extension ByteAutomaton {
    /// - Parameter expression: without calls.
    init(_ expression: Expression, place: String) throws(ConstraintError) {
        var graph = NodeGraph()
        let part = try graph.add(expression, place: place)
        var construction = SubsetConstruction(graph)
        let rule = try construction.determinise(part, place: place)
        let classes = construction.classes
        self.init(
            trimming: rule.states.map { state in
                var edges: [Edge] = []
                for byte in 0..<256 {
                    let target = state.next[Int(classes[byte])]
                    if target < 0 { continue }
                    if let last = edges.last, last.target == target, Int(last.bytes.upperBound) + 1 == byte {
                        edges[edges.count - 1].bytes = last.bytes.lowerBound...UInt8(byte)
                    } else {
                        edges.append(Edge(bytes: UInt8(byte)...UInt8(byte), target: target))
                    }
                }
                return State(edges: edges, isAccepting: state.isAccepting)
            })
    }
}
