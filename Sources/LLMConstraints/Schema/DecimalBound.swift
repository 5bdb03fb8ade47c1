// Numbers compared digit by digit.
import JSON

/// A bound of decimal numbers without exponent.
struct DecimalBound {
    enum Relation { case atLeast, atMost, above, below }

    private let isNegative: Bool
    /// Without leading zeros; empty for 0.
    private let whole: [UInt8]
    /// Without trailing zeros.
    private let fraction: [UInt8]
    private let relation: Relation

    /// Nil for a bound that has more than 60 digits.
    init?(_ value: JSONValue, _ relation: Relation) {
        var text: String
        switch value {
        case .integer(let integer): text = String(integer)
        case .number(let number): text = number.description
        default: return nil
        }
        isNegative = text.hasPrefix("-")
        if isNegative { text.removeFirst() }
        // Swift writes large and small numbers with an exponent.
        let parts = text.split(separator: "e", maxSplits: 1)
        let digits = parts[0].split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        var whole = Array(digits[0].utf8)
        var fraction = digits.count > 1 ? Array(digits[1].utf8) : []
        let zero = UInt8(ascii: "0")
        if parts.count > 1 {
            guard let exponent = Int(parts[1]), abs(exponent) <= 40 else { return nil }
            for _ in 0..<max(0, exponent) { whole.append(fraction.isEmpty ? zero : fraction.removeFirst()) }
            for _ in 0..<max(0, -exponent) { fraction.insert(whole.isEmpty ? zero : whole.removeLast(), at: 0) }
        }
        while fraction.last == zero { fraction.removeLast() }
        self.whole = Array(whole.drop { $0 == zero })
        self.fraction = fraction
        self.relation = relation
        if self.whole.count + fraction.count > 60 { return nil }
    }

    /// Decimal numbers that keep to it. Says nothing about leading zeros and the like: to be intersected with a format.
    var automaton: ByteAutomaton {
        let isZero = whole.isEmpty && fraction.isEmpty
        // Orders of the number's magnitude against the bound's that are right, for each sign of the number.
        let (positive, negative): (Set<Order>, Set<Order>)
        switch relation {
        case .atLeast, .above:
            let equal: Set<Order> = relation == .atLeast ? [.equal] : []
            positive = isNegative && !isZero ? [.less, .equal, .greater] : equal.union([.greater])
            negative = isNegative && !isZero ? equal.union([.less]) : isZero ? equal : []
        case .atMost, .below:
            let equal: Set<Order> = relation == .atMost ? [.equal] : []
            positive = isNegative && !isZero ? [] : equal.union([.less])
            negative =
                isNegative && !isZero
                ? equal.union([.greater]) : isZero ? equal.union([.greater]) : [.less, .equal, .greater]
        }
        var builder = Builder(whole: whole, fraction: fraction)
        let plus = builder.number(positive)
        let minus = builder.number(negative)
        builder.states[0] = builder.states[plus]
        builder.states[0].edges.insert(
            ByteAutomaton.Edge(bytes: UInt8(ascii: "-")...UInt8(ascii: "-"), target: Int32(minus)), at: 0)
        return ByteAutomaton(trimming: builder.states)
    }

    static func multiples(of divisor: Int) -> ByteAutomaton {
        var states: [ByteAutomaton.State] = []
        for rest in 0..<divisor {
            let edges = (0..<10).map { digit in
                let byte = UInt8(ascii: "0") + UInt8(digit)
                return ByteAutomaton.Edge(bytes: byte...byte, target: Int32((rest * 10 + digit) % divisor + 1))
            }
            states.append(ByteAutomaton.State(edges: edges, isAccepting: rest == 0))
        }
        // The start is like remainder 0, but for the sign.
        var start = states[0]
        start.isAccepting = false
        start.edges.insert(ByteAutomaton.Edge(bytes: UInt8(ascii: "-")...UInt8(ascii: "-"), target: 1), at: 0)
        return ByteAutomaton(trimming: [start] + states)
    }

    private enum Order: Int, CaseIterable { case less, equal, greater }

    /// Compares a magnitude with the bound's.
    private struct Builder {
        let whole: [UInt8]
        let fraction: [UInt8]
        var states = [ByteAutomaton.State()]

        private typealias Edge = ByteAutomaton.Edge

        private mutating func add() -> Int {
            states.append(ByteAutomaton.State())
            return states.count - 1
        }

        /// The state before the first digit of a number whose order is to be one of these.
        mutating func number(_ wanted: Set<Order>) -> Int {
            // After k digits of the whole part: their order against the bound's first k.
            var rows: [[Int]] = []
            for _ in 0...whole.count { rows.append(Order.allCases.map { _ in add() }) }
            let longer = add()
            // Behind the point.
            let decided = Order.allCases.map { _ in add() }
            for order in Order.allCases {
                states[decided[order.rawValue]].isAccepting = wanted.contains(order)
                states[decided[order.rawValue]].edges = [digits(0...9, decided[order.rawValue])]
            }
            var places: [Int] = []
            for _ in 0...fraction.count { places.append(add()) }
            for index in fraction.indices {
                states[places[index]].isAccepting = wanted.contains(.less)
                states[places[index]].edges = compared(
                    fraction[index], decided[Order.less.rawValue], places[index + 1], decided[Order.greater.rawValue])
            }
            let last = places[fraction.count]
            states[last].isAccepting = wanted.contains(.equal)
            states[last].edges = compared(UInt8(ascii: "0"), last, last, decided[Order.greater.rawValue])
            states[longer].isAccepting = wanted.contains(.greater)
            states[longer].edges = [point(decided[Order.greater.rawValue]), digits(0...9, longer)]
            for count in 0...whole.count {
                for order in Order.allCases {
                    let state = rows[count][order.rawValue]
                    let result: Order = count < whole.count ? .less : order
                    let isOpen = result == .equal && !fraction.isEmpty
                    states[state].isAccepting = wanted.contains(isOpen ? .less : result)
                    let afterPoint = result == .equal ? places[0] : decided[result.rawValue]
                    var edges = [point(afterPoint)]
                    if count == whole.count {
                        edges.append(digits(0...9, longer))
                    } else if order == .equal {
                        let next = rows[count + 1]
                        edges += compared(whole[count], next[0], next[1], next[2])
                    } else {
                        edges.append(digits(0...9, rows[count + 1][order.rawValue]))
                    }
                    states[state].edges = edges
                }
            }
            // A single 0 before the point is no digit of the whole part.
            let zero = add()
            states[zero] = states[rows[0][Order.equal.rawValue]]
            states[zero].edges = [states[zero].edges[0]]
            let start = add()
            var edges = states[rows[0][Order.equal.rawValue]].edges
            edges.removeFirst()
            edges = edges.flatMap { edge -> [Edge] in
                guard edge.bytes.lowerBound == UInt8(ascii: "0") else { return [edge] }
                return edge.bytes.count == 1
                    ? [] : [Edge(bytes: UInt8(ascii: "1")...edge.bytes.upperBound, target: edge.target)]
            }
            edges.insert(digits(0...0, zero), at: 0)
            states[start].edges = edges
            return start
        }

        private func point(_ target: Int) -> Edge {
            Edge(bytes: UInt8(ascii: ".")...UInt8(ascii: "."), target: Int32(target))
        }

        private func digits(_ range: ClosedRange<UInt8>, _ target: Int) -> Edge {
            let zero = UInt8(ascii: "0")
            return Edge(bytes: zero + range.lowerBound...zero + range.upperBound, target: Int32(target))
        }

        /// Digits below, at and above one.
        private func compared(_ digit: UInt8, _ less: Int, _ equal: Int, _ greater: Int) -> [Edge] {
            let value = digit - UInt8(ascii: "0")
            var edges: [Edge] = []
            if value > 0 { edges.append(digits(0...value - 1, less)) }
            edges.append(digits(value...value, equal))
            if value < 9 { edges.append(digits(value + 1...9, greater)) }
            return edges
        }
    }
}
