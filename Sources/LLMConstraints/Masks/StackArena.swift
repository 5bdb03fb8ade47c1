// Stacks of states to return to. Stacks share their lower parts.

struct StackArena {
    struct Node {
        /// Where to go on after a return.
        var state: Int32
        var parent: Int32
        /// Tokens that are enough from here to the end of everything.
        var need: Int32
        var hash: UInt32
    }

    /// The empty stack.
    static let bottom: Int32 = -1

    private(set) var nodes: [Node] = []

    init() { nodes.reserveCapacity(64) }

    var count: Int { nodes.count }

    subscript(_ stack: Int32) -> Node { nodes[Int(stack)] }

    func need(_ stack: Int32) -> Int32 { stack == Self.bottom ? 0 : nodes[Int(stack)].need }

    /// - Parameter own: tokens from `state` to the end of its rule.
    mutating func push(_ state: Int32, need own: Int32, on parent: Int32) -> Int32 {
        let hash = (parent == Self.bottom ? 17 : nodes[Int(parent)].hash) &* 0x9E37_79B1 &+ UInt32(bitPattern: state)
        nodes.append(
            Node(state: state, parent: parent, need: min(TokenEnds.impossible, own + need(parent)), hash: hash))
        return Int32(nodes.count - 1)
    }

    /// Same states from top to bottom.
    func areEqual(_ first: Int32, _ second: Int32) -> Bool {
        var (a, b) = (first, second)
        while a != b {
            if a == Self.bottom || b == Self.bottom { return false }
            let (left, right) = (nodes[Int(a)], nodes[Int(b)])
            if left.hash != right.hash || left.state != right.state { return false }
            (a, b) = (left.parent, right.parent)
        }
        return true
    }

    /// Forgets nodes that were pushed since there were `count`.
    mutating func truncate(_ count: Int) { nodes.removeLast(nodes.count - count) }

    /// Keeps what these configurations need.
    mutating func compact(_ configurations: inout [Configuration]) {
        var kept: [Node] = []
        var places = [Int32](repeating: -1, count: nodes.count)
        for index in configurations.indices {
            var path: [Int32] = []
            var stack = configurations[index].stack
            while stack != Self.bottom, places[Int(stack)] < 0 {
                path.append(stack)
                stack = nodes[Int(stack)].parent
            }
            for stack in path.reversed() {
                var node = nodes[Int(stack)]
                if node.parent != Self.bottom { node.parent = places[Int(node.parent)] }
                places[Int(stack)] = Int32(kept.count)
                kept.append(node)
            }
            if configurations[index].stack != Self.bottom {
                configurations[index].stack = places[Int(configurations[index].stack)]
            }
        }
        nodes = kept
    }
}

/// One way to read the text so far: a state that takes bytes, and where to return from its rule.
struct Configuration {
    var state: Int32
    var stack: Int32
}
