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

    /// Calls `body` with each index whose element is at least `threshold`, in ascending order, until it returns false.
    /// `body` may raise the threshold.
    @inline(__always)
    static func forEach(
        _ row: UnsafePointer<Float>, count: Int, atLeast threshold: inout Float,
        _ body: (Int, Float, inout Float) -> Bool
    ) {
        var index = 0
        while index < count {
            let values = lanes(row, index, of: count, padding: -.infinity)
            if any(values .>= threshold) {
                for element in index..<min(index + width, count) where row[element] >= threshold {
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

    /// out[i] = (row[i] − maximum) / temperature, which never overflows upwards. `out` may be `row`.
    static func scale(
        _ row: UnsafePointer<Float>, count: Int, maximum: Float, temperature: Float,
        into out: UnsafeMutablePointer<Float>
    ) {
        for index in 0..<count { out[index] = (row[index] - maximum) / temperature }
    }

    /// The sums of blocks of `blockSize` elements, and of them all.
    static func sums(
        _ row: UnsafePointer<Float>, count: Int, into blockSums: UnsafeMutablePointer<Double>
    ) -> Double {
        var total = 0.0
        for block in 0..<(count + blockSize - 1) / blockSize {
            var sum = Lanes(repeating: 0)
            for index in stride(from: block * blockSize, to: min((block + 1) * blockSize, count), by: width) {
                sum += lanes(row, index, of: count, padding: 0)
            }
            blockSums[block] = sumInTreeOrder(sum)
            total += blockSums[block]
        }
        return total
    }

    @inline(__always)
    private static func sumInTreeOrder(_ lanes: Lanes) -> Double {
        let eight = lanes.lowHalf + lanes.highHalf
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return Double(two.x) + Double(two.y)
    }
}
