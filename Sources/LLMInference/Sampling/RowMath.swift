// Passes over one row of logits. Sixteen lanes, sums in one fixed order, no contraction to fma: a result depends on the
// row alone and is the same on every machine.

enum RowMath {
    typealias Lanes = SIMD16<Float>
    static let width = Lanes.scalarCount
    /// Elements of one block of `sums`.
    static let blockSize = 256

    @inline(__always)
    private static func lanes(_ row: UnsafePointer<Float>, _ index: Int, of count: Int, padding: Float) -> Lanes {
        if index + width <= count { return UnsafeRawPointer(row + index).loadUnaligned(as: Lanes.self) }
        var lanes = Lanes(repeating: padding)
        for lane in 0..<(count - index) { lanes[lane] = row[index + lane] }
        return lanes
    }

    /// The largest element; nil when the row has NaN or +∞ or nothing but −∞.
    static func maximum(_ row: UnsafePointer<Float>, count: Int) -> Float? {
        var largest = Lanes(repeating: -.infinity)
        var broken = SIMDMask<SIMD16<Int32>>(repeating: false)
        var index = 0
        while index < count {
            let values = lanes(row, index, of: count, padding: -.infinity)
            largest.replace(with: values, where: values .> largest)
            broken .|= values .!= values
            index += width
        }
        let maximum = largest.max()
        return any(broken) || !maximum.isFinite ? nil : maximum
    }

    /// Calls `body` with each index whose element is at least `threshold` and below `limit`, in ascending order, until it
    /// returns false. `body` may raise the threshold.
    @inline(__always)
    static func forEach(
        _ row: UnsafePointer<Float>, count: Int, atLeast threshold: inout Float, below limit: Float = .infinity,
        _ body: (Int, Float, inout Float) -> Bool
    ) {
        var index = 0
        while index < count {
            let values = lanes(row, index, of: count, padding: -.infinity)
            if any((values .>= threshold) .& (values .< limit)) {
                for element in index..<min(index + width, count)
                where row[element] >= threshold && row[element] < limit {
                    if !body(element, row[element], &threshold) { return }
                }
            }
            index += width
        }
    }

    static func firstIndex(_ row: UnsafePointer<Float>, count: Int, of value: Float) -> Int {
        var found = 0
        var threshold = value
        forEach(row, count: count, atLeast: &threshold) { index, _, _ in
            found = index
            return false
        }
        return found
    }

    /// out[i] = (row[i] − maximum) · factor: never overflows upwards.
    static func scale(
        _ row: UnsafePointer<Float>, count: Int, maximum: Float, by factor: Float, into out: UnsafeMutablePointer<Float>
    ) {
        for index in 0..<count { out[index] = (row[index] - maximum) * factor }
    }

    /// Sum and number of the elements that are at least `threshold`, which is not negative.
    static func sum(_ row: UnsafePointer<Float>, count: Int, atLeast threshold: Float) -> (sum: Double, count: Int) {
        var total = 0.0
        var kept = SIMD16<Int32>(repeating: 0)
        for start in stride(from: 0, to: count, by: blockSize) {
            var sum = Lanes(repeating: 0)
            for index in stride(from: start, to: min(start + blockSize, count), by: width) {
                let values = lanes(row, index, of: count, padding: -1)
                let isKept = values .>= threshold
                sum += Lanes(repeating: 0).replacing(with: values, where: isKept)
                kept &-= unsafeBitCast(isKept, to: SIMD16<Int32>.self)
            }
            total += sumInTreeOrder(sum)
        }
        return (total, Int(kept.wrappedSum()))
    }

    /// The sums of blocks of `blockSize` elements, and of them all. Elements count from `cut` on in the order of
    /// `OrderedKey`: those above `cut.value`, and the equal ones up to `cut.index`.
    static func sums(
        _ row: UnsafePointer<Float>, count: Int, from cut: Cut, into blockSums: UnsafeMutablePointer<Double>
    ) -> Double {
        var total = 0.0
        for block in 0..<(count + blockSize - 1) / blockSize {
            let range = block * blockSize..<min((block + 1) * blockSize, count)
            // Equal elements count in blocks before the cut's index and not behind it; in its own it goes by element.
            if range.contains(cut.index) {
                blockSums[block] = range.reduce(0) { cut.contains(row[$1], at: $1) ? $0 + Double(row[$1]) : $0 }
            } else {
                let threshold = range.upperBound <= cut.index ? cut.value : cut.value.nextUp
                blockSums[block] = sum(row, range, of: count, atLeast: threshold)
            }
            total += blockSums[block]
        }
        return total
    }

    @inline(__always)
    private static func sum(
        _ row: UnsafePointer<Float>, _ range: Range<Int>, of count: Int, atLeast threshold: Float
    ) -> Double {
        var sum = Lanes(repeating: 0)
        for index in stride(from: range.lowerBound, to: range.upperBound, by: width) {
            let values = lanes(row, index, of: count, padding: -1)
            sum += Lanes(repeating: 0).replacing(with: values, where: values .>= threshold)
        }
        return sumInTreeOrder(sum)
    }

    /// A place in the order of falling values, equal ones by rising index.
    struct Cut {
        var value: Float
        var index: Int

        static let none = Cut(value: 0, index: .max)

        @inline(__always)
        func contains(_ element: Float, at place: Int) -> Bool {
            element > value || (element == value && place <= index)
        }
    }

    @inline(__always)
    private static func sumInTreeOrder(_ lanes: Lanes) -> Double {
        let eight = lanes.lowHalf + lanes.highHalf
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return Double(two.x) + Double(two.y)
    }
}
