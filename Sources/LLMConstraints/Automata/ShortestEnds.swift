// For each state the shortest way to the end of its rule, through calls and all.

/// Knuth's generalisation of Dijkstra's algorithm: states are settled in the order of their distance; a call costs what
/// its rule costs from its start to its end.
struct ShortestEnds {
    enum Step: Sendable, Hashable {
        case end
        /// Index of the class of bytes.
        case letter(Int32, target: Int32)
        case call(start: Int32, target: Int32)
    }

    static let unreachable = Int32.max

    private(set) var lengths: [Int32]
    /// First step of the shortest way. Its target, and the start of a call, are settled earlier.
    private(set) var steps: [Step]
    /// States with a way, in the order in which they were settled.
    private(set) var order: [Int32] = []

    /// - Parameter weights: cost of each class of bytes, at least 1; `unreachable` for one that can't be used.
    init(
        next: [Int32], classCount: Int, calls: [(start: Int32, target: Int32)], callOffsets: [Int32],
        isAccepting: [Bool], weights: [Int32]
    ) {
        let count = isAccepting.count
        lengths = Array(repeating: Self.unreachable, count: count)
        steps = Array(repeating: .end, count: count)
        // Who leads to a state: by a letter, and by calls in which it is start or target.
        var letters: [[(source: Int32, letter: Int32)]] = Array(repeating: [], count: count)
        var calling: [[(source: Int32, call: Int32)]] = Array(repeating: [], count: count)
        var cheapest: [Int32: Int32] = [:]
        for state in 0..<count {
            cheapest.removeAll(keepingCapacity: true)
            var previous: Int32 = -1
            for letter in 0..<classCount where weights[letter] != Self.unreachable {
                let target = next[state * classCount + letter]
                if target < 0 || (target == previous && weights[letter] >= weights[Int(cheapest[target]!)]) { continue }
                if let known = cheapest[target], weights[Int(known)] <= weights[letter] { continue }
                cheapest[target] = Int32(letter)
                previous = target
            }
            for (target, letter) in cheapest.sorted(by: { $0.key < $1.key }) {
                letters[Int(target)].append((Int32(state), letter))
            }
            for call in Int(callOffsets[state])..<Int(callOffsets[state + 1]) {
                calling[Int(calls[call].start)].append((Int32(state), Int32(call)))
                calling[Int(calls[call].target)].append((Int32(state), Int32(call)))
            }
        }
        // Distances are small integers: a bucket for each. What is found twice is settled once.
        var isSettled = [Bool](repeating: false, count: count)
        var buckets: [Int32: [Int32]] = [0: isAccepting.indices.filter { isAccepting[$0] }.map { Int32($0) }]
        for state in buckets[0]! { lengths[Int(state)] = 0 }
        var distances = DistanceQueue()
        distances.insert(0)
        while let distance = distances.popSmallest() {
            // A call may add to the bucket that is being emptied.
            var index = 0
            while index < buckets[distance]!.count {
                let state = buckets[distance]![index]
                index += 1
                if isSettled[Int(state)] || lengths[Int(state)] != distance { continue }
                isSettled[Int(state)] = true
                order.append(state)
                func offer(_ source: Int32, _ length: Int32, _ step: Step) {
                    guard !isSettled[Int(source)] else { return }
                    let known = lengths[Int(source)]
                    // Among equals the smallest step, so that the choice does not depend on an order of hashing.
                    guard length < known || (length == known && Self.precedes(step, steps[Int(source)])) else { return }
                    steps[Int(source)] = step
                    if length == known { return }
                    lengths[Int(source)] = length
                    if buckets[length] == nil {
                        buckets[length] = []
                        distances.insert(length)
                    }
                    buckets[length]!.append(source)
                }
                for (source, letter) in letters[Int(state)] {
                    offer(source, Self.sum(distance, weights[Int(letter)]), .letter(letter, target: state))
                }
                for (source, call) in calling[Int(state)] {
                    let (start, target) = calls[Int(call)]
                    guard isSettled[Int(start)], isSettled[Int(target)] else { continue }
                    offer(
                        source, Self.sum(lengths[Int(start)], lengths[Int(target)]),
                        .call(start: start, target: target))
                }
            }
            buckets[distance] = nil
        }
    }

    private static func sum(_ first: Int32, _ second: Int32) -> Int32 {
        let (sum, isOver) = first.addingReportingOverflow(second)
        return isOver ? unreachable - 1 : min(sum, unreachable - 1)
    }

    private static func precedes(_ first: Step, _ second: Step) -> Bool {
        switch (first, second) {
        case (.end, _): false
        case (_, .end): false
        case (.letter(let a, _), .letter(let b, _)): a < b
        case (.letter, .call): true
        case (.call, .letter): false
        case (.call(let a, let b), .call(let c, let d)): (a, b) < (c, d)
        }
    }
}

/// Distances that are still to be looked at: a binary heap of distinct numbers.
private struct DistanceQueue {
    private var heap: [Int32] = []

    mutating func insert(_ distance: Int32) {
        heap.append(distance)
        var index = heap.count - 1
        while index > 0, heap[(index - 1) / 2] > heap[index] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func popSmallest() -> Int32? {
        guard let smallest = heap.first else { return nil }
        let last = heap.removeLast()
        if heap.isEmpty { return smallest }
        heap[0] = last
        var index = 0
        while 2 * index + 1 < heap.count {
            var child = 2 * index + 1
            if child + 1 < heap.count && heap[child + 1] < heap[child] { child += 1 }
            if heap[index] <= heap[child] { break }
            heap.swapAt(index, child)
            index = child
        }
        return smallest
    }
}
