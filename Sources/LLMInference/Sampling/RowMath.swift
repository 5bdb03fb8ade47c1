// Passes over one row of logits. Sixteen lanes, sums in one fixed order, no contraction to fma: a result depends on the
// row alone and is the same on every machine.

enum RowMath {
    typealias Lanes = SIMD16<Float>
    static let width = Lanes.scalarCount
    /// Elements of one block of `exponentials`.
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

    /// eˣ for x ≤ 0 within 2 units in the last place; 0 below −87.
    @inline(__always)
    static func exponential(_ x: Lanes) -> Lanes {
        let underflow = x .< -87
        let bounded = x.replacing(with: Lanes(repeating: -87), where: underflow)
        // x = n·ln 2 + r; adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
        let magic = Lanes(repeating: 0x1.8p23)
        let shifted = bounded * 1.442_695_04 + magic
        let n = shifted - magic
        let r = bounded - n * 0.693_359_375 + n * 2.121_944_40e-4
        // Minimax polynomial of Cephes' expf.
        var p = Lanes(repeating: 1.987_569_15e-4)
        p = p * r + 1.398_199_95e-3
        p = p * r + 8.333_451_91e-3
        p = p * r + 4.166_579_59e-2
        p = p * r + 1.666_666_55e-1
        p = p * r + 0.5
        p = p * (r * r) + r + 1
        let exponent = unsafeBitCast(shifted, to: SIMD16<Int32>.self) &+ SIMD16(repeating: 127 &- 0x4B40_0000)
        let power = unsafeBitCast(exponent &<< SIMD16(repeating: 23), to: Lanes.self)
        return (p * power).replacing(with: Lanes(repeating: 0), where: underflow)
    }

    /// weights[i] = exp((row[i] − maximum) / temperature), and their sums by blocks. `weights` may be `row`.
    /// - Parameter weights: room for `count` rounded up to `width`; the padding becomes 0. nil: only the sums.
    /// - Returns: the sum of the block sums.
    static func exponentials(
        _ row: UnsafePointer<Float>, count: Int, maximum: Float, temperature: Float,
        weights: UnsafeMutablePointer<Float>?, blockSums: UnsafeMutablePointer<Double>
    ) -> Double {
        var total = 0.0
        var block = 0
        var start = 0
        while start < count {
            var sum = Lanes(repeating: 0)
            var index = start
            while index < min(start + blockSize, count) {
                let weight = exponential((lanes(row, index, of: count, padding: -.infinity) - maximum) / temperature)
                if let weights { UnsafeMutableRawPointer(weights + index).storeBytes(of: weight, as: Lanes.self) }
                sum += weight
                index += width
            }
            blockSums[block] = sumInTreeOrder(sum)
            total += blockSums[block]
            block += 1
            start += blockSize
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
