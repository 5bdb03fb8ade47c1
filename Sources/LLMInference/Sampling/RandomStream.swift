// Counter-based random numbers: the n-th number of a seed is a function of both and of nothing that ran before, so a
// resumed, pre-empted or re-batched sequence draws what it would have drawn.

/// Philox4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
package enum Philox {
    package typealias Block = SIMD4<UInt32>

    package static func block(counter: Block, key: SIMD2<UInt32>) -> Block {
        var c = counter
        var k = key
        for round in 0..<10 {
            if round > 0 { k &+= SIMD2(0x9E37_79B9, 0xBB67_AE85) }
            let a = (0xD251_1F53 as UInt32).multipliedFullWidth(by: c.x)
            let b = (0xCD9E_8D57 as UInt32).multipliedFullWidth(by: c.z)
            c = Block(b.high ^ c.y ^ k.x, b.low, a.high ^ c.w ^ k.y, a.low)
        }
        return c
    }
}

/// The random numbers of one seed.
package struct RandomStream: Sendable, Hashable {
    package let seed: UInt64

    package init(seed: UInt64) { self.seed = seed }

    /// What a number is used for; each purpose has numbers of its own.
    package enum Purpose: UInt32, Sendable { case sampling = 0 }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    package func uniform(at position: UInt64, for purpose: Purpose = .sampling) -> Double {
        let block = Philox.block(
            counter: [
                UInt32(truncatingIfNeeded: position), UInt32(truncatingIfNeeded: position >> 32), purpose.rawValue, 0,
            ],
            key: [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)])
        let bits = UInt64(block.x) << 32 | UInt64(block.y)
        return Double(bits >> 11) * 0x1p-53
    }
}
