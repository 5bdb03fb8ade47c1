// Decoding of ggml's 256-value superblocks (the K formats): one or two half-precision scales for the whole block, small
// integer scales for its parts of 16 or 32 values.

extension Dequantize {
    /// Crumb j (two bits) of byte i of each 32-byte half is value 128·half + 32·j + i; sixteen parts of 16 values.
    static func q2_K(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 84
            let to = target + block &* 256
            let scale = half(from, 80)
            let minimumScale = half(from, 82)
            for part in 0..<16 {
                let packed = byte(from, part)
                let partScale = scale * Float(packed & 15)
                let partMinimum = minimumScale * Float(packed >> 4)
                let crumbs = from + (16 &+ part / 8 &* 32 &+ part % 2 &* 16)
                let shift = Int32(part % 8 / 2 &* 2)
                for i in 0..<16 {
                    to[part &* 16 &+ i] = partScale * Float(byte(crumbs, i) &>> shift & 3) - partMinimum
                }
            }
        }
    }

    /// Crumbs as in Q2_K; bit k of mask byte i belongs to value 32·k + i and, when clear, subtracts 4.
    static func q3_K(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 110
            let to = target + block &* 256
            let scale = half(from, 108)
            for part in 0..<16 {
                // Low nibbles of the scales in bytes 0..<8, their upper two bits in bytes 8..<12.
                let low = byte(from, 96 &+ part % 8) &>> Int32(part / 8 &* 4) & 15
                let high = byte(from, 104 &+ part % 4) &>> Int32(part / 4 &* 2) & 3
                let partScale = scale * Float(low | high << 4 &- 32)
                let crumbs = from + (32 &+ part / 8 &* 32 &+ part % 2 &* 16)
                let masks = from + part % 2 &* 16
                let shift = Int32(part % 8 / 2 &* 2)
                let maskShift = Int32(part / 2)
                for i in 0..<16 {
                    let offset = (byte(masks, i) &>> maskShift & 1 ^ 1) << 2
                    to[part &* 16 &+ i] = partScale * Float(byte(crumbs, i) &>> shift & 3 &- offset)
                }
            }
        }
    }

    static func q4_K(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 144
            let to = target + block &* 256
            let scale = half(from, 0)
            let minimumScale = half(from, 2)
            for part in 0..<8 {
                let (partScale, partMinimum) = scaleAndMinimum(from + 4, part)
                let a = scale * partScale
                let b = minimumScale * partMinimum
                let nibbles = from + (16 &+ part / 2 &* 32)
                let shift = Int32(part % 2 &* 4)
                for i in 0..<32 { to[part &* 32 &+ i] = a * Float(byte(nibbles, i) &>> shift & 15) - b }
            }
        }
    }

    static func q5_K(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 176
            let to = target + block &* 256
            let scale = half(from, 0)
            let minimumScale = half(from, 2)
            for part in 0..<8 {
                let (partScale, partMinimum) = scaleAndMinimum(from + 4, part)
                let a = scale * partScale
                let b = minimumScale * partMinimum
                let nibbles = from + (48 &+ part / 2 &* 32)
                let shift = Int32(part % 2 &* 4)
                let fifthShift = Int32(part)
                for i in 0..<32 {
                    let fifth = (byte(from, 16 &+ i) &>> fifthShift & 1) << 4
                    to[part &* 32 &+ i] = a * Float(byte(nibbles, i) &>> shift & 15 | fifth) - b
                }
            }
        }
    }

    /// Each half of the block: 64 bytes of nibbles (low halves: values 0..<64, high halves: 64..<128) and 32 bytes of
    /// upper crumbs (crumb j of byte i: value 32·j + i).
    static func q6_K(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 210
            let to = target + block &* 256
            let scale = half(from, 208)
            for part in 0..<16 {
                let partScale = scale * Float(from.load(fromByteOffset: 192 &+ part, as: Int8.self))
                let within = part % 8
                let nibbles = from + (part / 8 &* 64 &+ within % 4 &* 16)
                let crumbs = from + (128 &+ part / 8 &* 32 &+ within % 2 &* 16)
                let nibbleShift = Int32(within / 4 &* 4)
                let crumbShift = Int32(within / 2 &* 2)
                for i in 0..<16 {
                    let value = byte(nibbles, i) &>> nibbleShift & 15 | (byte(crumbs, i) &>> crumbShift & 3) << 4
                    to[part &* 16 &+ i] = partScale * Float(value &- 32)
                }
            }
        }
    }

    /// The 6-bit scale and minimum of one of the eight parts of Q4_K and Q5_K. The first four of each stand in the low
    /// six bits of bytes 0..<4 and 4..<8; the others have their low nibbles in bytes 8..<12, their upper two bits above
    /// the first ones.
    @inline(__always)
    static func scaleAndMinimum(_ packed: UnsafeRawPointer, _ part: Int) -> (scale: Float, minimum: Float) {
        if part < 4 { return (Float(byte(packed, part) & 63), Float(byte(packed, 4 &+ part) & 63)) }
        let low = byte(packed, 4 &+ part)
        let scale = low & 15 | (byte(packed, part &- 4) >> 6) << 4
        let minimum = low >> 4 | (byte(packed, part) >> 6) << 4
        return (Float(scale), Float(minimum))
    }
}
